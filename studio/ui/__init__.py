"""The page in the browser: Gradio 6, one module per tab, everything that moves in widgets of our own.

How to add a tab ``names``:

1. ``studio/ui/names.py`` with ``TITLE = "Names"`` and ``build(ctx: Context) -> Handles`` (a frozen dataclass of what it created), called
   inside the tab. If it needs Gradio events it also has ``wire(ctx, handles)``. Add ``"names"`` to ``app.TABS``; nothing else has to know.
   With ``LOCAL_ONLY = True`` public servers leave it out.
2. ``studio/ui/widgets/names.js``, put on the page with ``widget("names", label=..., server_functions=[...])``. It fills
   ``element.querySelector(".studio-widget")`` and ends with ``studio.mounted(element)``. Gradio mounts a tab when it is first opened.
   A child with class ``studio-stage`` (left) and one with ``studio-side`` (right column, scrolls alone) get the frame's layout on
   every screen; ``studio-page`` instead is one region over the whole width that scrolls.
3. Handlers are plain functions ``handler(ctx, session, request) -> dict`` and know no component. ``endpoint(ctx, RequestType, handler)``
   makes one callable from the page; the request type is a ``Payload`` whose ``read`` checks every entry. ``raise StudioError("one
   sentence")`` and the page shows it. Pictures go to the page with ``image_url``; nothing is served from disk.
   What a tab keeps for one visitor lies in ``session.parts["names"]``, what it shares among all in ``ctx.sessions.parts``.
4. In the script: ``const { h, on, emit, call, guarded, controls, drops, keys, recipe, session, status, Stage } = window.studio``.

   - ``await call(server, "handler", {...})`` adds the session's token; ``guarded(() => ...)`` shows a refusal in the status line.
   - ``latestWins(task)`` keeps one call in flight and only the newest value waiting.
   - ``controls.slider | number | bar | fader | choice | toggle | button | group | help | icon`` bring labels, help, reset, fine steps
     and the keyboard.
   - ``session.bounds["truncation.psi"]`` holds range, default and help of every recipe value: never write them twice.
   - ``recipe.change({"truncation.psi": 0.5})`` while a hand moves, ``recipe.commit()`` when it lets go (one undo step),
     ``recipe.replace(whole)`` to adopt one; ``on("recipe", ({recipe, source}) => ...)`` and ``on("model", facts => ...)`` to follow.
   - ``drops.register({name, order, accepts(file), handle(files, point)})`` routes dropped files (``drops.isImage``, ``drops.isFilm``,
     ``drops.isModel``); of a dropped folder the pictures and films in it arrive.
     ``drops.take(element, handle)`` and ``drops.give(element, describe)`` move pictures between strip, gallery and grids.
     Photos and films (that are not ours, or that were restyled) arrive where ``studio.photos.handle = (photos, point) => ...`` is set, as
     ``{file, path, name, recipe}``; ``path`` is what the server's ``uploaded_file(ctx.settings.uploads, path)`` accepts. A restyled
     picture of the strip is reopened by ``studio.photos.reopen = (item) => ...``. A tab that is not open yet is opened first.
   - ``keys.register({key: "x", title: "What it does", tab: "names", run})``; ``await tabs.show("mix")`` goes to a tab and waits for it.
   - ``emit("picture-made", entry)`` puts a picture in front of the strip (``session.add_picture``, ``shell.strip_entry``);
     ``emit("gallery")`` says that the gallery's files changed; ``model.refresh()`` that the installed models did.
   - ``emit("speed", {device, ms, runner})`` after anything that a model computed. ``Stage`` (``assets/stage.js``) is the picture with its
     thin progress line, compare and cancel; ``Viewer`` (``assets/viewer.js``) is a Stage with a before and an after that zoom in step.
"""
