"""A page to try a trained model in the browser, and the folder of a Hugging Face Space that shows it.

Only :mod:`m4ser.demo.page` and :mod:`m4ser.demo.server` import Gradio, which the extra ``demo`` installs.
"""
