"""Keeps what was typed into the input of a chat, until it is sent: in the browser, where the script does not see it."""

import streamlit as st

from pages.shared.chat import keys

_JS = """
const find = () => document.querySelector('[data-testid="stChatInputTextArea"]');

function fill(box, text) {  // as if it were typed: React keeps the value itself
  Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set.call(box, text);
  box.dispatchEvent(new Event("input", {bubbles: true}));
}

export default function ({ parentElement, data }) {
  const key = `draft:${data.page}:${data.chat ?? ""}`;
  const ofNewChat = `draft:${data.page}:`;
  let waiting = 0;
  const keep = () => setTimeout(() => {  // after the input has taken the key or the click
    const box = find();
    if (box?.dataset.draft !== key) return;
    if (box.value) sessionStorage.setItem(key, box.value);
    else sessionStorage.removeItem(key);
  });
  const restore = () => {
    const box = find();
    if (!box) {  // it is drawn after this component
      waiting = requestAnimationFrame(restore);
      return;
    }
    const before = box.dataset.draft;
    box.dataset.draft = key;
    const stored = sessionStorage.getItem(key) ?? "";
    if (before === ofNewChat && data.isBegun && box.value) {
      sessionStorage.removeItem(before);  // the new chat has got its address: what is being typed belongs to it
      keep();
    } else if (before === undefined ? stored && !box.value : before !== key) {
      fill(box, stored);
      if (before !== undefined && !data.chat) box.focus();  // New chat was pressed
    }
  };
  const element = parentElement.host ?? parentElement;
  // Streamlit takes a text when its field is left, and Escape removes the field with its popover before that.
  const leave = ({ key, target }) => {
    if (key === "Escape" && target.closest('[data-testid="stPopoverBody"]')) target.blur();
  };
  document.addEventListener("keydown", leave, true);
  // There is nothing to see.
  element.closest('[data-testid="stElementContainer"]')?.style.setProperty("display", "none");
  const events = ["input", "keyup", "click"];
  for (const each of events) document.addEventListener(each, keep, true);
  restore();
  return () => {
    cancelAnimationFrame(waiting);
    document.removeEventListener("keydown", leave, true);
    for (const each of events) document.removeEventListener(each, keep, true);
  };
}
"""

_keep = st.components.v2.component("draft", html="<span></span>", js=_JS)


def keep_draft(page: str, session_id: str | None) -> None:
    """Keep what is typed into the input, for this chat or for a new one, until it is sent or the tab is closed."""
    is_begun = session_id is not None and st.session_state.get(keys.begun(page)) == session_id
    if not is_begun:
        st.session_state.pop(keys.begun(page), None)
    _keep(key=f"draft:{page}:{session_id or ''}", data={"page": page, "chat": session_id, "isBegun": is_begun})
