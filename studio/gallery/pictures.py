"""The gallery: everything that was made, as files in one folder that the user may sort, rename and delete at will.

Pictures and films are named after their model and numbered (``pomona-0042.png``). Thumbnails live in the cache and can be made
again. Several windows, processes or users with a folder each may work at once. This module draws nothing: it is given
finished pictures.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from studio import media, paths
from studio.errors import MediaError
from studio.gallery.folder import TRASH, Changes, Item, Seen, item_of, look_at, walk
from studio.gallery.index import Index
from studio.media.files import explained
from studio.recipe import Recipe

THUMBNAIL_SIDE = 256
MAX_TAG_LETTERS = 40

_log = logging.getLogger(__name__)


class Gallery:
    """The pictures in one folder. Making one is free: nothing is read, written or created before it is used."""

    def __init__(self, folder: str | os.PathLike[str] | None = None, cache: str | os.PathLike[str] | None = None) -> None:
        """Choose the folders.

        Args:
            folder: Where the pictures are; None is the user's own pictures folder.
            cache: Where thumbnails may be kept; None is the studio's cache folder.
        """
        self.folder = Path(folder) if folder is not None else paths.pictures_folder()
        self._thumbnails = (Path(cache) if cache is not None else paths.cache_folder()) / "thumbnails"
        self._index = Index(self.folder)

    def add(
        self,
        image: media.ImageArray,
        recipe: Recipe,
        *,
        alpha: media.ImageArray | None = None,
        composite: bool = False,
        icc: bytes | None = None,
        suffix: str = ".png",
        include_recipe: bool = True,
    ) -> Item:
        """Save a picture under the next free number of its model.

        Args:
            image: uint8 ``[H, W, 3]``, or ``[H, W, 4]`` with straight alpha.
            recipe: How it was made; goes into the file.
            alpha: uint8 ``[H, W]`` straight alpha, when it is apart.
            composite: A person's own picture went in.
            icc: The RGB profile to keep, as in :func:`studio.media.encode_image`.
            suffix: ``.png``, ``.jpg`` or ``.webp``.
            include_recipe: False saves the picture with its mark of origin only.

        Returns:
            The new item; ``note`` says when the recipe was too long to go in.

        Raises:
            MediaError: The disk is full, the folder cannot be written to, or the format cannot hold the picture.
        """
        encoded = media.encode_image(image, suffix, recipe=recipe, alpha=alpha, icc=icc, composite=composite, include_recipe=include_recipe)
        path = media.create_exclusive(self.folder, self._free_names(recipe.model.name, suffix), encoded.data)
        item = self._enter(path, Seen(media.inspect_image(encoded.data, name=path.name)))
        self._try_thumbnail(item, image, alpha)
        return replace(item, note=encoded.note)

    def add_film(self, path: Path, recipe: Recipe, *, choose: Callable[[Path], object] | None = None) -> Item:
        """Take in a film that was made in the gallery's folder under a hidden name, under the next free number of its model.

        A description of the same name that ends in ``.json`` (of a spritesheet) comes along.

        Args:
            path: The film, whole.
            recipe: How it was made; the file holds it already.
            choose: Told the name before the film gets it.

        Returns:
            The new item. Files that the gallery does not list (zipped frames) are described all the same.

        Raises:
            MediaError: The film is gone, damaged, or cannot be renamed.
        """
        names = self._free_names(recipe.model.name, path.suffix)
        target = next(self.folder / name for name in names if not (self.folder / name).exists())
        if choose is not None:
            choose(target)
        beside = path.with_suffix(".json")
        if beside.exists():
            with media.atomic_write(target.with_suffix(".json")) as file:
                file.write(beside.read_bytes().replace(path.name.encode(), target.name.encode()))
            beside.unlink()
        moved = media.move_exclusive(path, self.folder, [target.name])
        if moved.suffix == ".zip":
            status = moved.stat()
            header = media.Header(0, 0, "ZIP", moved.name, media.hash_file(moved), recipe)
            return replace(item_of(moved, self.folder, Seen(header)), size_bytes=status.st_size)
        item = self._enter(moved, look_at(moved))
        with contextlib.suppress(MediaError):
            self.thumbnail(item.id)
        return item

    def items(self, query: str = "", *, starred: bool = False, offset: int = 0, limit: int | None = None) -> list[Item]:
        """List pictures, newest first; files that came, went or were renamed outside are seen.

        Args:
            query: Words that must all occur in name, model, source or tags; ``model:pomona``, ``seed:42``, ``tag:blue``,
                ``is:starred``, ``is:film`` look in one place; quotes keep blanks: ``tag:"deep sea"``.
            starred: Only pictures with a star.
            offset: Skip so many.
            limit: Give at most so many; None gives all.

        Raises:
            MediaError: The folder cannot be read or its index cannot be written.
        """
        if not self._refresh():
            return []
        return self._index.find(query, starred=starred, offset=max(0, offset), limit=limit)

    def count(self, query: str = "", *, starred: bool = False) -> int:
        """Count what :meth:`items` would list without a limit."""
        return self._index.count(query, starred=starred) if self._refresh() else 0

    def sync(self) -> Changes:
        """Look at the whole folder now, also for files that were edited in place."""
        return self._index.sync() if self.folder.is_dir() else Changes()

    def item(self, id: str) -> Item:
        """Give one picture.

        Raises:
            MediaError: It is not in the gallery (any more).
        """
        item = self._index.get(id) if self.folder.is_dir() else None
        if item is None and self._refresh():
            item = self._index.get(id)
        if item is None:
            raise MediaError(f"{media.safe_name(id)} is not in the gallery any more. It may have been moved or deleted.")
        return item

    def recipe(self, id: str) -> Recipe | None:
        """Read the recipe from the file; None when it carries none.

        Raises:
            MediaError: The picture is gone, or its recipe is unusable (the sentence says why).
        """
        header = look_at(self.item(id).path).header
        if header.recipe_error:
            raise MediaError(f"{header.name}: {header.recipe_error}")
        return header.recipe

    def thumbnail(self, id: str) -> Path:
        """Give the path of a small WebP of the picture, or of a frame of the film (longest side 256 pixels), made when it is missing.

        Raises:
            MediaError: The picture is gone or damaged.
        """
        item = self.item(id)
        path = self._thumbnail_path(item.sha256)
        if not path.exists() and item.is_film:
            self._write_thumbnail(path, self.poster(id), None)
        elif not path.exists():
            picture = media.read_image(item.path)
            if picture.sha256 != item.sha256:
                self.sync()
                path = self._thumbnail_path(picture.sha256)
            self._write_thumbnail(path, picture.image, picture.alpha)
        return path

    def poster(self, id: str) -> media.ImageArray:
        """Give the frame that stands for a film, uint8 ``[H, W, 3 or 4]``: one a third into it.

        Raises:
            MediaError: The film is gone or damaged.
        """
        item = self.item(id)
        with contextlib.closing(media.read_film(item.path, start=item.seconds / 3)) as frames:  # type: ignore[type-var]
            return next(frames).image

    def star(self, id: str, on: bool = True) -> Item:
        """Set or clear the star of a picture; give the picture as it is now."""
        self._index.star(self.item(id).id, on)
        return self.item(id)

    def tag(self, id: str, tags: str | Sequence[str], on: bool = True) -> Item:
        """Add (or with ``on=False`` take away) one tag or several; give the picture as it is now.

        Tags are kept in small letters, up to 40 of them.

        Raises:
            MediaError: The picture is gone, or a tag is empty or too long.
        """
        wanted = [_tidy_tag(tag) for tag in ([tags] if isinstance(tags, str) else tags)]
        self._index.tag(self.item(id).id, wanted, on)
        return self.item(id)

    def models(self) -> dict[str, int]:
        """Count the pictures of each model, most first."""
        return self._index.tally("model") if self._refresh() else {}

    def tags(self) -> dict[str, int]:
        """Count the pictures of each tag, most first."""
        return self._index.tally("tags") if self._refresh() else {}

    def remove(self, id: str) -> str:
        """Move a picture to the folder ``trash``.

        Returns:
            What to give to :meth:`restore` to undo it; star and tags come back too.
        """
        item = self.item(id)
        inside = PurePosixPath(item.id).parent
        moved = media.move_exclusive(item.path, self.folder / TRASH / inside, media.numbered_names(item.path.name))
        self._index.forget(item.id)
        return moved.relative_to(self.folder / TRASH).as_posix()

    def restore(self, trashed: str) -> Item:
        """Bring a picture back from the trash to where it was (under another number when that name is taken by now).

        Raises:
            MediaError: It is not in the trash any more.
        """
        if trashed not in self.trashed():
            raise MediaError(f"{media.safe_name(trashed)} is not in the trash any more.")
        source = self.folder / TRASH / trashed
        moved = media.move_exclusive(source, self.folder / PurePosixPath(trashed).parent, media.numbered_names(source.name))
        name = moved.relative_to(self.folder).as_posix()
        self._index.store(name, look_at(moved))
        return self.item(name)

    def trashed(self) -> list[str]:
        """List what can be restored, newest first."""
        files, _ = walk(self.folder / TRASH)
        return sorted(files, key=lambda name: (files[name][1], name), reverse=True)

    def empty_trash(self) -> int:
        """Delete everything in the trash for good; give how many pictures that were."""
        names = self.trashed()
        for name in names:
            with explained(self.folder / TRASH / name), contextlib.suppress(FileNotFoundError):
                (self.folder / TRASH / name).unlink()
        return len(names)

    def _enter(self, path: Path, seen: Seen) -> Item:
        """List a file that was just written."""
        try:
            self._index.store(path.relative_to(self.folder).as_posix(), seen)
        except MediaError as error:
            _log.warning("saved, and will be listed later: %s", error)
        return item_of(path, self.folder, seen)

    def _refresh(self) -> bool:
        """Bring the index up to date when a folder changed; tell whether there is a folder at all."""
        if not self.folder.is_dir():
            return False
        if not self._index.is_current():
            self._index.sync()
        return True

    def _free_names(self, model: str, suffix: str) -> Iterator[str]:
        """Give names from one above the highest number of the model, the trash included, so that none is used twice."""
        stem = media.safe_name(model.replace(" ", "-"), "picture")[:60]
        numbered = re.compile(rf"{re.escape(stem)}-(\d{{1,9}})(?: \(\d+\))?\.\w+", re.IGNORECASE)
        names = [name for _, _, inside in os.walk(self.folder) for name in inside]
        number = max((int(match[1]) for match in map(numbered.fullmatch, names) if match), default=0)
        return (f"{stem}-{n:04d}{suffix.lower()}" for n in range(number + 1, number + 100_000))

    def _thumbnail_path(self, sha256: str) -> Path:
        return self._thumbnails / sha256[:2] / f"{sha256}-{THUMBNAIL_SIDE}.webp"

    def _try_thumbnail(self, item: Item, image: media.ImageArray, alpha: media.ImageArray | None) -> None:
        """Make the thumbnail of a picture at hand; a failure costs nothing, it is made again when asked for."""
        try:
            self._write_thumbnail(self._thumbnail_path(item.sha256), image, alpha)
        except MediaError as error:
            _log.info("no thumbnail yet: %s", error)

    def _write_thumbnail(self, path: Path, image: media.ImageArray, alpha: media.ImageArray | None) -> None:
        small = media.thumbnail(media.join_alpha(image, alpha), THUMBNAIL_SIDE)
        with media.atomic_write(path) as file:
            file.write(media.encode_webp(small))


def _tidy_tag(tag: str) -> str:
    text = " ".join(
        "".join(letter if letter.isprintable() else " " for letter in tag.replace("|", " ").replace('"', " ")).split()
    ).casefold()
    if not 0 < len(text) <= MAX_TAG_LETTERS:
        raise MediaError(f"A tag has 1 to {MAX_TAG_LETTERS} letters; {text[:50]!r} has {len(text)}.")
    return text
