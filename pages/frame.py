"""The frame around every page: navigation, configuration picker, error boundary.

It is the script of the server, so that no page ever runs without it.
"""

from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from pages.shared import account, base, chat

# What no setting of Streamlit covers: the label of a primary button on a light primary colour, its shortcut, its colour
# under the pointer (Streamlit darkens it in the dark theme, too), line breaks in the cells of a table, and the lower
# edge of formulas. Then the list of chats: beside the chat it stays in sight, with a scroll bar of its own; a phone has
# a drawer instead. Each rule depends on Streamlit's markup and has a browser test.
STYLE = """<style>
button[data-testid^="stBaseButton-primary"], button[data-testid^="stBaseButton-primary"] kbd {
  color: light-dark(#fff, #10141f)
}
button[data-testid^="stBaseButton-primary"] kbd {opacity: 1}
button[data-testid^="stBaseButton-primary"]:is(:hover, :active) {background-color: light-dark(#282aa3, #b8beff)}
[data-testid="stMarkdownContainer"] :is(th, td) {white-space: pre-line}
[data-testid="stMarkdownContainer"] .katex-display {padding-bottom: 5px}
@media (min-width: 641px) {
  :has(> .st-key-rail) {position: sticky; top: 4rem}
  .st-key-rail-list {max-height: calc(100dvh - 28rem); overflow-y: auto}
  .st-key-drawer {display: none}
  [data-testid="stApp"]:has(.st-key-rail) [data-testid="stBottomBlockContainer"] > div {
    max-width: calc((100% - 2.5rem) * 3.4 / 4.4)
  }
}
@media (max-width: 640px) {[data-testid="stColumn"]:has(.st-key-rail) {display: none}}
</style>"""
MARK = Path(__file__).parent / "shared" / "mark.svg"
LOGO = Path(__file__).parent / "shared" / "logo.svg"


def draw() -> None:
    st.set_page_config(page_title="Chat workbench", page_icon=str(MARK), layout="wide")
    st.html(STYLE)
    if not base.is_started():
        st.error("Only the frame of the app was started. Start the app with: streamlit run app.py")
        st.stop()
    st.logo(str(LOGO), icon_image=str(MARK))
    try:
        page = navigation()
        account.enter(page.url_path)
        with st.sidebar:
            if page.url_path in sending_pages():
                account.draw_picker(page.url_path, chat.opened())
            who = base.person()
            st.caption(who.name if who.is_administrator else f"{who.name}, user")
        page.run()
    except (base.ConnectorError, base.StorageError, base.NotFound, base.NotAllowed) as error:
        st.error(base.plain(str(error)), icon=":material/error:")
    except Exception as error:
        base.log_failure(error)
        st.error(base.unexpected(error), icon=":material/error:")


def navigation() -> StreamlitPage:
    # The page refuses users, too.
    configurations: base.Visibility = "visible" if base.person().is_administrator else "hidden"
    sections = {
        "": [base.page("home.py", "Home", ":material/home:", default=True)],
        "Showcase": [base.page_of(use_case) for use_case in base.use_cases()],
        "Workbench": [base.page("workbench/tuner.py", "Tuner", ":material/tune:")],
        "Manage": [
            base.page("manage/configurations.py", "Configurations", ":material/key:", visibility=configurations),
            base.page("manage/usage.py", "Usage", ":material/monitoring:"),
        ],
    }
    return st.navigation(sections, expanded=True)


def sending_pages() -> set[str]:
    return {use_case.name for use_case in base.use_cases()} | {"tuner"}


with base.one_run():
    draw()
