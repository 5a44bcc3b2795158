"""The photos and films of one session and what became of them: files, pixels at hand, and what is to be made of them.

A photo, or a single frame of a film, is translated once for each model and stroke size; strength, colours and mask are blended
afterwards from that result, so that they follow the hand. This is *not* what the page calls (``restyle.py``), whose turn it is
(``darkroom_work.py``) or how a photo is translated (``studio.restyle``).
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from studio.errors import StudioError
from studio.media import FilmFacts, ImageArray, Picture, hash_file, join_alpha, thumbnail
from studio.models.common import Translator
from studio.recipe import Recipe, Restyle
from studio.restyle import check_memory, finish
from studio.ui.context import Context
from studio.ui.darkroom_photos import Photo, check_public, header_of
from studio.ui.darkroom_recipes import key_of, whole, wishes_of
from studio.ui.darkroom_work import MEASURE, Job, Key, Queue, Shelf
from studio.ui.session import Session
from studio.worker import Priority

PART = "restyle"
MAX_PHOTOS = 2000
MAX_PUBLIC_PHOTOS = 8
SHELF_BYTES = 1 << 30
PUBLIC_SHELF_BYTES = 512 << 20
CANCELLED = "Cancelled."
MOST_TO_MEASURE = 20.0
"""Seconds: what takes longer is not done again only to know how long it takes."""
PREPARING_SECONDS = 10.0


class Darkroom:
    """One session's photos. Its folder goes when the session does."""

    def __init__(self, *, most_photos: int, is_public: bool, shelf: Shelf) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="studio-photos-"))
        self._finalizer = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._most_photos = most_photos
        self._is_public = is_public
        self._shelf = shelf
        self._photos: dict[str, Photo] = {}
        self._queue = Queue(shelf)
        self.awaited: dict[str, Recipe] = {}
        """Recipes of restyled pictures whose photo is not here yet, by the photo's SHA-256."""

    def photos(self) -> list[Photo]:
        """List the photos in the order in which they came."""
        return [photo for photo in list(self._photos.values()) if not photo.is_removed]

    def photo(self, photo_id: str) -> Photo:
        """Return a photo by its id.

        Raises:
            StudioError: It is not here (any more).
        """
        photo = self._photos.get(photo_id)
        if photo is None:
            raise StudioError("This photo is no longer here. Drop it again.")
        return photo

    def find(self, sha256: str) -> Photo | None:
        """Return the photo with a file hash, also one that was removed a moment ago."""
        return next((photo for photo in list(self._photos.values()) if photo.sha256 == sha256), None)

    def add(self, file: Path, name: str, recipe: Recipe, film: FilmFacts | None = None) -> Photo:
        """Take a file in; the same one is not taken twice.

        Args:
            file: Where it is now.
            name: What it is called.
            recipe: What to make of it at first.
            film: What it is, when it is a film.

        Raises:
            StudioError: It is no picture, too large for this studio, or one too many.
        """
        size, sha256 = ((film.width, film.height), "") if film else header_of(file, name)
        if self._is_public:
            check_public(name, size[0] * size[1], film)
        sha256 = sha256 or hash_file(file)
        known = self.find(sha256)
        if known is None and len(self.photos()) >= self._most_photos:
            raise StudioError(f"There are already {self._most_photos} photos here. Remove one first.")
        if known is not None:
            known.is_removed = False
            file.unlink(missing_ok=True)
            return known
        photo = Photo(secrets.token_urlsafe(6), name, sha256, file, *size, recipe, film.notes if film else (), film=film)
        picture = photo.read()
        if film is None:
            photo.width, photo.height, photo.notes = picture.width, picture.height, picture.notes
        self._keep_picture(photo, picture)
        folder = self._folder / photo.id
        folder.mkdir()
        photo.file = Path(shutil.move(file, folder / name))
        self._photos[photo.id] = photo
        return photo

    def picture(self, photo: Photo) -> Picture:
        """Return a photo's pixels, read again when they are no longer at hand."""
        picture = self._shelf.get(("picture", photo.key))
        if picture is None:
            picture = photo.read()
            self._keep_picture(photo, picture)
        assert isinstance(picture, Picture)
        return picture

    def _keep_picture(self, photo: Photo, picture: Picture) -> None:
        self._shelf.put(("picture", photo.key), picture, picture.image.nbytes)

    def adopt(self, photo: Photo, recipe: Recipe) -> Recipe:
        """Make a recipe the photo's own: it names this photo as its source."""
        photo.recipe = Recipe(model=recipe.model, restyle=wishes_of(photo, recipe), precision=recipe.precision, enlarge=recipe.enlarge)
        return photo.recipe

    def job(self, engine: Any, photo: Photo, recipe: Recipe) -> Job:
        """Have a photo translated in full; the same work is never done twice, and what nobody waits for any more is dropped.

        Raises:
            StudioError: The model is missing or is no translator, or the photo is too large for the memory.
        """
        key = key_of(photo, recipe)
        job = self._queue.find(key)
        if job is not None and not job.is_unwanted:
            return job
        result = self._shelf.get(key)
        if result is not None:
            return _finished(key, photo, result)
        network = engine.load(recipe.model.name).network
        if isinstance(network, Translator):
            check_memory(network, photo.height, photo.width)
        pixels = photo.width * photo.height
        expected = pixels * (self._shelf.rate(key[2:]) or self._shelf.rate(key[2:3]) or 0.0)
        job = Job(key, photo.id, lambda job: self._translate(engine, photo, recipe, job), expected=expected)
        self._queue.begin(job, instead_of=lambda other: other.key[-1] == recipe.precision)
        return job

    def measure(self, engine: Any, photo: Photo, recipe: Recipe) -> bool:
        """Have work that was done only once done again, since a first run also makes the model ready; say whether that is to come."""
        key = key_of(photo, recipe)
        if self._shelf.runs(key[2:]) != 1 or (self.seconds(photo, recipe) or 0.0) > MOST_TO_MEASURE:
            return False
        key = (MEASURE, *key[1:])

        def work(job: Job) -> ImageArray:
            engine.prepare(recipe.model.name, recipe.precision, timeout=PREPARING_SECONDS)
            job.started = time.monotonic()
            return self._translate(engine, photo, recipe, job)

        self._queue.begin_once(Job(key, photo.id, work))
        return True

    def seconds(self, photo: Photo, recipe: Recipe) -> float | None:
        """Return how long this very work took on a photo of this size; None when it was never done."""
        rate = self._shelf.rate(key_of(photo, recipe)[2:])
        return None if rate is None else rate * photo.width * photo.height

    def cancel(self, photo: Photo) -> None:
        """Drop the work on a photo; what is being computed stops at the next strip."""
        self._queue.drop(photo.id)

    def _translate(self, engine: Any, photo: Photo, recipe: Recipe, job: Job) -> ImageArray:
        picture = self.picture(photo)
        return _colours(
            engine.restyle(
                whole(recipe),
                picture.image,
                picture.alpha,
                priority=Priority.RESTYLE,
                progress=job.report,
                should_stop=lambda: job.is_unwanted,
            )
        )

    def finish(self, photo: Photo, recipe: Recipe, result: ImageArray) -> ImageArray:
        """Blend a translation as the recipe wants it: ``uint8 [H, W, 3]``, or ``[H, W, 4]`` for a photo with transparency."""
        picture = self.picture(photo)
        return join_alpha(_blend(picture.image, picture.alpha, result, recipe), picture.alpha)

    def sketch(self, engine: Any, photo: Photo, recipe: Recipe, size: int) -> ImageArray:
        """Make a small version quickly, ``uint8 [h, w, 3 or 4]``: from the full result when it is there, else from a small photo."""
        small = self._shelf.get(("small", photo.key, str(size)))
        if small is None:
            picture = self.picture(photo)
            small = thumbnail(join_alpha(picture.image, picture.alpha), size)
            self._shelf.put(("small", photo.key, str(size)), small, small.nbytes)
        image = np.ascontiguousarray(small[..., :3])
        alpha = np.ascontiguousarray(small[..., 3]) if small.shape[2] == 4 else None
        key = key_of(photo, recipe)
        full = self._shelf.get(key)
        result = self._shelf.get((*key, str(size), str(full is not None)))
        if result is None:
            if full is None:
                result = _colours(engine.restyle(whole(recipe), image, alpha, priority=Priority.PREVIEW))
            else:
                result = thumbnail(full, size)
            self._shelf.put((*key, str(size), str(full is not None)), result, result.nbytes)
        return join_alpha(_blend(image, alpha, result, recipe), alpha)


def darkroom(ctx: Context, session: Session) -> Darkroom:
    """Return the darkroom of a session, made when it is first asked for."""
    public = ctx.settings.public
    with session.lock:
        if PART not in session.parts:
            shelf = ctx.sessions.parts.setdefault(PART, Shelf(PUBLIC_SHELF_BYTES if public else SHELF_BYTES))
            session.parts[PART] = Darkroom(
                most_photos=MAX_PUBLIC_PHOTOS if public else MAX_PHOTOS,
                is_public=public,
                shelf=shelf,
            )
        room = session.parts[PART]
    assert isinstance(room, Darkroom)
    return room


def keep(ctx: Context, session: Session, recipe: Recipe) -> Any:
    """Save a restyled picture of this session in full quality to the gallery, with its photo's alpha and colour profile.

    Returns:
        The gallery's new item.

    Raises:
        StudioError: The photo is no longer here; or as for :meth:`Darkroom.job`.
    """
    room = darkroom(ctx, session)
    photo = room.find(recipe.restyle.source_sha256) if recipe.restyle else None
    if photo is None or photo.film is not None:
        raise StudioError("The photo of this picture is no longer here. Drop it again, then save.")
    exact = replace(recipe, precision="exact")
    job = room.job(ctx.engine, photo, exact)
    job.done.wait()
    return store(ctx, session, photo, exact, outcome(job))


def store(ctx: Context, session: Session, photo: Photo, recipe: Recipe, result: ImageArray) -> Any:
    """Write a finished translation to the gallery and return its item."""
    room = darkroom(ctx, session)
    picture = room.picture(photo)
    image = room.finish(photo, recipe, result)
    alpha = np.ascontiguousarray(image[..., 3]) if image.shape[2] == 4 else None
    pixels = np.ascontiguousarray(image[..., :3])
    return ctx.gallery_of(session).add(pixels, recipe, alpha=alpha, icc=picture.icc, composite=True)


def outcome(job: Job) -> ImageArray:
    """Return what a finished job made, or raise what stopped it."""
    if job.error is not None:
        raise job.error
    if job.result is None:
        raise StudioError(CANCELLED)
    return job.result


def _colours(image: ImageArray) -> ImageArray:
    return np.ascontiguousarray(image[..., :3])


def _blend(image: ImageArray, alpha: ImageArray | None, result: ImageArray, recipe: Recipe) -> ImageArray:
    return _colours(finish(image, alpha, result, recipe.restyle or Restyle()))


def _finished(key: Key, photo: Photo, result: ImageArray) -> Job:
    job = Job(key, photo.id, lambda _: result, result=result)
    job.done.set()
    return job
