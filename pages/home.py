"""Home: what is set up, what is missing, and everything there is to try."""

from pages.shared import home, use_case

use_case.head(
    "Try chat completions on your own account",
    "Connect OpenAI or Azure OpenAI, try ready-made use cases, and see what each call costs. Chat completions "
    "only: no embeddings, speech or image generation.",
)
home.check_list()
home.places()
home.cards()
