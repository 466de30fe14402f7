"""A button that copies a text to the clipboard. Streamlit has one for code only."""

import streamlit as st

_HTML = '<button type="button">Copy</button>'
_CSS = """
button {
  background: none; border: 0; color: var(--st-text-color); cursor: pointer; display: block; font: inherit;
  font-size: 0.875rem; line-height: 1.6; padding: 0.5rem 0 0.2rem;
}
button:hover, button:focus-visible {color: var(--st-primary-color)}
"""
_JS = """
const timers = new WeakMap();
export default function ({ parentElement, data }) {
  const button = parentElement.querySelector("button");
  button.setAttribute("aria-label", data.label);
  button.onclick = async () => {
    try {
      await navigator.clipboard.writeText(data.text);
    } catch {  // not over plain http: the old way
      const area = document.createElement("textarea");
      area.value = data.text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = "Copied";
    clearTimeout(timers.get(button));
    timers.set(button, setTimeout(() => (button.textContent = "Copy"), 2000));
  };
}
"""

_button = st.components.v2.component("copy_button", html=_HTML, css=_CSS, js=_JS)


def draw_copy_button(text: str, key: str, label: str = "Copy this answer") -> None:
    """Draw the button; `label` is its name for screen readers."""
    _button(key=f"copy:{key}", data={"text": text, "label": label}, width="content")
