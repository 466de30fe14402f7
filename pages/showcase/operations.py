"""Send one question with each of the three operations, and compare the requests and responses.

Group: talk. Icon: compare_arrows.
"""

import streamlit as st

from connector import ChatCompletionsRequest, ChatCompletionsSession, Role
from pages.shared import account, answers, use_case

SYSTEM_PROMPT = "Answer in one or two sentences."
EARLIER = ("My dog is called Balthazar, and he is afraid of balloons.", "Poor Balthazar. I will remember that.")
ABOUT = {
    "execute_without_history": ("Without history", "Two prompts, no earlier messages."),
    "execute_with_history": ("With history", "A session: all earlier messages are sent."),
    "call_api": ("Advanced", "Full request, full response; here with two choices."),
}

use_case.head(
    "Operations",
    "The same question sent in three ways. The requests and the responses differ.",
    use_case.API_REFERENCE,
)
question = st.text_input(
    "Question", "What should I not bring to my dog's birthday?", key="operations:question", persist_state="session"
)
session = ChatCompletionsSession()
session.add_message(Role.SYSTEM, SYSTEM_PROMPT)
session.add_message(Role.USER, EARLIER[0])
session.add_message(Role.ASSISTANT, EARLIER[1])
session.add_message(Role.USER, question)
asked = {
    "execute_without_history": ChatCompletionsRequest.of_prompts(question, system_prompt=SYSTEM_PROMPT),
    "execute_with_history": ChatCompletionsRequest.of_session(session),
    "call_api": ChatCompletionsRequest.of_prompts(question, system_prompt=SYSTEM_PROMPT, temperature=0.2, n=2),
}
pressed = False
if account.current_configuration() is None:
    account.draw_guidance()
else:
    pressed = st.button(
        "Send through all three",
        type="primary",
        icon=":material/send:",
        shortcut="ctrl+enter",
        disabled=any(map(use_case.is_writing, asked)),
    )
if pressed and not question.strip():
    st.warning("Write a question first.", icon=":material/edit:")
elif pressed and all(use_case.begin(request, operation, part=operation) for operation, request in asked.items()):
    st.rerun()
for column, (operation, request) in zip(st.columns(3, gap="medium"), asked.items(), strict=True):
    title, sentence = ABOUT[operation]
    with column:
        with st.container(gap=None):
            st.header(title, anchor=False)
            st.markdown(f":small[:gray[{sentence}]]")
        use_case.show(answers.choices if operation == "call_api" else None, request, part=operation)
        use_case.draw_wire(operation, request)
