"""Reading and writing model files. Nothing in a file is ever executed, imported or compiled."""
