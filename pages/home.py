"""Home: what is set up, what is missing, and everything there is to try."""

from pages.shared import home, use_case

use_case.head(
    "Try chat completions on your own account",
    "Connect OpenAI or Azure OpenAI once, try ready-made use cases, and see what each call took. Chat completions "
    "only: no embeddings, speech or made pictures.",
)
home.check_list()
home.places()
home.cards()
