"""The interface in the browser. The only package that knows Gradio."""
