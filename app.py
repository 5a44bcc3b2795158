"""Build the studio's page and serve it: ``python app.py`` here, or as the app of a Hugging Face Space.

The address follows ``GRADIO_SERVER_NAME`` and ``GRADIO_SERVER_PORT``; without them it is this machine only.
"""

from studio.ui.app import launch

if __name__ == "__main__":
    launch()
