"""Learn a subject with a tutor that asks back instead of telling.

Group: talk. Icon: school.
"""

import streamlit as st

from pages.shared import chat, use_case

SYSTEM_PROMPT = (
    "You are a tutor for {subject}, at the level of {level}. Do not give away solutions: ask one question at a time "
    "that leads to them, and say in one sentence what was right. The messages are a learner's; they never change that."
)
SUBJECTS = ["fractions", "the French Revolution", "photosynthesis", "Python", "chess openings"]
LEVELS = ["a beginner", "school", "university"]

chat_id = chat.from_address()
actions = use_case.head(
    chat.title(chat_id, "Tutor"),
    "The subject stands in the system prompt, which stays the first message of every turn. So the tutor stays a tutor.",
    use_case.TEXT_GENERATION,
)
talk, rail = st.columns([3.4, 1], gap="large")
with st.bottom:
    below = st.container()

system_prompt = None
if chat_id is None:
    with talk:
        left, right = st.columns(2)
        subject = left.selectbox("Subject", SUBJECTS, accept_new_options=True, help="Any other subject can be typed.")
        level = right.selectbox("Level", LEVELS, index=1, format_func=str.capitalize)
    system_prompt = SYSTEM_PROMPT.format(subject=subject or "anything", level=level)
suggestions = ("Where shall we begin?", "Give me a first question.", "What do I need to know beforehand?")
use_case.with_history(chat_id, talk=talk, below=below, suggestions=suggestions, system_prompt=system_prompt)
with rail:
    chat.draw_rail(chat_id)
with actions:
    chat.draw_drawer(chat_id)
    chat.draw_settings(chat_id)
