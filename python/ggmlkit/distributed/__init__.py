"""Work on a Ray cluster: batches of prompts, and many files. It needs the extra ``ray``."""
