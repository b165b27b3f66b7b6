"""graft_trainer: fine-tunes the ONNX backbone that graft's boards run, and gives back the same file with new weights.

A job folder goes in and comes out (see docs/reference/trainer.md); there is no network in here.
"""

__version__ = "0.1.0"
