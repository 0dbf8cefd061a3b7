"""The review page: navigation, warnings, and then the page that was requested."""

from pathlib import Path

import parts
import streamlit as st

st.set_page_config(page_title="MCP sidecar", page_icon=str(Path(__file__).with_name("icon.svg")), layout="wide")

# The folder is not called "pages": Streamlit would run its files on their own when a deep link is opened first.
chosen = st.navigation(
    [
        st.Page("views/calls.py", title="Calls", icon=":material/swap_horiz:", default=True),
        st.Page("views/findings.py", title="Findings", icon=":material/policy:"),
        st.Page("views/health.py", title="Health", icon=":material/monitor_heart:"),
        st.Page("views/call.py", title="Call", icon=":material/receipt_long:", visibility="hidden"),
    ],
    position="top",
)
parts.wait_for_record()
parts.notices()
chosen.run()
