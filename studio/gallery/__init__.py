"""Everything that was made, as files on disk: list, search, stars, tags, thumbnails, trash.

``pictures`` is the gallery itself, ``index`` its list in SQLite, ``search`` the meaning of the search box, ``folder``
what the file system says. The files are the truth; nothing here draws or edits a picture.
"""

from studio.gallery.folder import Changes, Item
from studio.gallery.pictures import Gallery

__all__ = ["Changes", "Gallery", "Item"]
