"""Every bound in the program, with its reason. Reaching one is recorded, never silent."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Not imported when the program runs: it would take longer than all that a wrap process imports before it.
    from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

REQUEST_BYTES_MAX: Final = 16 * MIB
"""One request body. Servers stop at 4 MiB; four times that leaves room and still bounds memory."""

RESPONSE_BYTES_MAX: Final = 128 * MIB
"""One buffered response body. Larger results are refused, because what is not held cannot be judged. A result of 100 MB
passes, and while it does it takes five times its size as one text and ten times as rows (docs/performance.md)."""

CLIENT_EVENT_BYTES_MAX: Final = MIB
"""The largest event the Python client takes; an event that was smaller must not grow past it."""

EVENT_FRAME_BYTES: Final = 512
"""Room for what an event holds beside its data: its name, its id and line ends."""

EVENT_BYTES_MAX: Final = 8 * MIB
"""One event of an event stream. The Python client refuses events over 1 MiB, so this is generous."""

JSON_DEPTH_MAX: Final = 128
"""Nesting of a message. Servers stop near 200; deeper text is an attack on a recursive parser."""

JSON_LEAVES_MAX: Final = 200_000
"""Strings and numbers of one message that are looked at."""

BATCH_MESSAGES_MAX: Final = 100
"""Members of a JSON-RPC batch (revision 2025-03-26)."""

SPANS_MAX: Final = 2_000
"""Detected values of one message. More than this is one leak, not two thousand."""

FINDINGS_PER_RULE_MAX: Final = 20
"""Finding rows one rule may write for one message; the rest is counted in the last one."""

PAYLOAD_RECORD_BYTES_MAX: Final = 256 * KIB
"""What the store keeps of one payload; the sizes recorded are always the true ones."""

SESSIONS_MAX: Final = 50_000
SESSION_IDLE_S: Final = 30 * 60
"""A conversation known only by its client ends after half an hour of silence."""

RATE_WINDOWS_MAX: Final = 100_000
RATE_WINDOW_ENTRIES_MAX: Final = 100_000

EXPRESSION_CHARS_MAX: Final = 4_000

OUTBOX_SEGMENT_BYTES: Final = 64 * MIB
OUTBOX_BYTES_MAX: Final = 8 * 1024 * MIB
"""All segments of one process that were not shipped yet: hours of outage at a thousand calls a second, zipped or not."""

BATCH_RECORDS_MAX: Final = 2_000
BATCH_BYTES_MAX: Final = 16 * MIB
BATCH_WAIT_S: Final = 0.5
"""ClickHouse wants few, large inserts; a person wants to see the call. Half a second serves both."""

PENDING_SERVER_REQUESTS_MAX: Final = 10_000

READ_ROWS_MAX: Final = 1_000_000
READ_SECONDS_MAX: Final = 30
READ_QUERIES_MAX: Final = 8

ALERT_ATTEMPTS_MAX: Final = 5
ALERT_TIMEOUT_S: Final = 5.0
ALERT_QUEUE_MAX: Final = 10_000

CONNECT_TIMEOUT_S: Final = 10.0
"""Opening a connection to a server. The kernel's own limit is over two minutes, longer than clients wait."""

IDLE_CONNECTION_S: Final = 24 * 3600
"""Event streams may be silent for hours; a proxy that closes them cancels the call."""

CONNECTIONS_PER_CLIENT_MAX: Final = 10_000
"""Connections to one server on behalf of one client connection. mitmproxy's five would let five open streams block the rest."""

LIST_ROWS_MAX: Final = 1_000
"""Rows of one list on the page or in the terminal. Nobody reads more; filters find the rest."""

CHOICES_MAX: Final = 500
"""Names offered by a filter; servers choose their tools' names and could choose very many."""

FOLLOW_LOOKBACK_S: Final = 24 * 3600
"""The longest call that ``calls --follow`` still shows at its end; as long as an idle connection may live."""

FOLLOW_SLACK_S: Final = 30
"""How far back ``calls --follow`` looks behind the newest end it has seen: a node's calls reach the store nearly in order."""

FOLLOW_ROWS_MAX: Final = 20_000
"""New calls ``calls --follow`` takes in one look; it looks again at once when there were more."""

POLICY_FILE_BYTES_MAX: Final = MIB
"""One policy file. Thousands of rules fit; more is another file by mistake."""

POLICY_FILES_MAX: Final = 500
"""Files of one policy folder; more is the wrong folder."""

CLIENT_FILE_BYTES_MAX: Final = 16 * MIB
"""A client's configuration as ``install`` edits it. The largest hold a client's history too, some megabytes."""

YAML_DEPTH_MAX: Final = 60
"""Nesting of a policy file. The YAML parser recurses in C, and very deep text would end the process."""

GLOB_CHARS_MAX: Final = 200

RATE_OVER_S_MAX: Final = 24 * 3600
"""The longest window of a rate. Windows are kept in memory, and a promise beyond a day would not survive restarts."""

RATE_ENTRIES_MAX: Final = 2_000_000
"""Timestamps of all rate windows together, about 64 MB; the windows used longest ago are forgotten first, and counted."""

TEST_STEPS_MAX: Final = 1_000
"""Steps of one test in a policy file: enough to run over a rate, few enough to run at every reload."""

HIGHLIGHT_CHARS_MAX: Final = 64 * KIB
"""A payload is coloured on the page up to this length; browsers need seconds for more, plain text comes at once."""

OUTBOX_SYNC_S: Final = 0.2
"""How often the outbox is forced to disk: what power loss (never a killed process) can take."""

OUTBOX_OWN_SEGMENT_BYTES: Final = 4 * MIB
"""One segment of the collector's own outbox: it writes deliveries and its own state, not traffic."""

COLLECT_POLL_S: Final = 0.05
"""How long an idle collector sleeps before it looks again; alerts must leave within a second of the call."""

STORE_RETRY_S_MAX: Final = 15.0
"""The longest wait before an unreachable store is tried again; the first is a thirtieth of it."""

STORE_TIMEOUT_S: Final = 60
"""One insert. A server under load may take long; longer than this it is retried under the same token."""

READ_SQL_BYTES_MAX: Final = 256 * KIB
"""The text of one read query, ClickHouse's own bound; with its parameters a request may be four times that."""

READ_RESULT_BYTES_MAX: Final = 256 * MIB
READ_MEMORY_BYTES_MAX: Final = 1024 * MIB
"""What one read query may hold: the engine lives in the collector, and a greedy query must not end it."""

READ_CONNECTIONS_MAX: Final = 64
READ_IDLE_S: Final = 60
"""A kept connection to the read-only endpoint that asks nothing is closed, so that 64 suffice."""

ALERT_RETRY_S_MAX: Final = 60.0
"""The longest wait between two attempts to deliver an alert, whatever the receiver asks for."""

GRAFANA_TIMEOUT_S: Final = 10.0
"""One answer of Grafana's API; a person waits in front of it."""

HITS_PER_DETECTOR_MAX: Final = 8 * SPANS_MAX
"""Places of one message at which one detector looks closely. A closer look takes some 10 microseconds, so this bounds
what hostile text can cost, and one detector's flood takes nothing from the others."""

NAME_CHARS_MAX: Final = 1024
"""A method, a tool's name, an id, an error's message as recorded. Longer names are refused on their way to a server."""

REMEMBERED_ARGS_BYTES_MAX: Final = 4 * KIB
"""Arguments that are kept with an answered call, so that rules about them also judge a replay of its answer."""

ANSWERED_MAX: Final = 5_000
"""Calls whose answer may still be replayed."""

SCHEMAS_MAX: Final = 5_000
SCHEMA_BYTES_MAX: Final = 64 * KIB
SCHEMA_STEPS_MAX: Final = 20_000
"""Steps through a tool's schema for one result that is redacted: some 20 ms, and enough for hundreds of values."""

SCHEMA_PATTERN_CHARS_MAX: Final = 1_000
"""A pattern of a tool's schema; RE2 matches it in linear time, but compiling grows with its length."""

SAMPLE_CHARS_MAX: Final = 4 * KIB
SAMPLE_DEPTH_MAX: Final = 20
"""The longest stand-in for a redacted value, and the nesting of a pattern from which one is made."""

HEADER_BYTES_MAX: Final = 256 * KIB
"""The head of one request or response. mitmproxy would hold any amount while it waits for the empty line."""

OPEN_FILES_MAX: Final = 65_536
"""Files the collector asks to hold open for the embedded engine, where the system lets it."""

UNCOLLECTED_BYTES_MAX: Final = 32 * MIB
"""Bodies of finished exchanges that may wait for the garbage collector."""

REQUEST_WAIT_S: Final = 300.0
"""From the first byte of a request to its last. Longer is a client that holds connections open on purpose."""

TASKS_MAX: Final = 10_000
"""Tasks whose tool is remembered, so that what they bring later is judged as that tool's output."""

ROUNDS_MAX: Final = 10_000
"""Calls a server answered by questions, remembered until they come again with the answers."""

EVENT_IDS_MAX: Final = 50_000
"""Event ids that are remembered to know a replay: two integers each, and servers replay minutes, not days."""

NOTIFICATION_ROWS_PER_MINUTE: Final = 60
"""Rows that the notifications of one stream may write in a minute, and as many again for those in which a rule found
something. Servers choose how many they send; the rest is judged and counted."""

LIST_TTL_MS_MAX: Final = 60_000
"""How long a client may keep a list or a result that a policy changed: a minute after an edit it asks again."""

LISTED_NAMES_MAX: Final = 10_000
"""Names of one server's tools, prompts or resources that are compared when a policy changes."""

WORD_CHARS_MAX: Final = 100
"""A word or a name that a peer says of itself, as recorded in a column of few values."""

OTHER_HOSTS_MAX: Final = 500
"""Hosts whose passed-on bytes are counted apart between two writes; the rest is one sum."""

OTHER_HOSTS_WRITE_S: Final = 60.0
"""How often those counts are recorded: they are for orientation, and a browser asks hundreds of hosts."""

HOST_CHARS_MAX: Final = 253
"""A host's name in full (RFC 1035 §2.3.4)."""

EMBEDDED_MAX: Final = 100
"""Requests embedded in one result, or answers in one request, that are judged as messages of their own; more are judged as
part of the message around them."""

RESPONSE_PARSED_BYTES_MAX: Final = 1536 * MIB
"""What one response may take once it is parsed, as estimated before it is: tiny objects take thirty times their text."""

STDIO_LINE_BYTES_MAX: Final = 64 * MIB
"""One line over stdio, like a response over HTTP: what is not held cannot be judged."""

STDIO_LINE_HEAD_BYTES: Final = 4 * KIB
"""What is kept of both ends of a longer line, to tell which request it belongs to."""

JUDGE_WAIT_S: Final = 20.0
"""How long a line waits for the proxy to start or to come back, before it is refused (or passed, if so asked)."""

JUDGE_RETRY_S: Final = 5.0
"""How long after such a failure lines are refused at once; then it is tried again."""

WRAP_NOTES_MAX: Final = 10_000
"""Open calls a wrap process can tell a new proxy about."""

WRAP_NOTE_BYTES_MAX: Final = 64 * KIB
"""One of them; of a longer one the arguments are left out."""

SOCKET_PATH_BYTES_MAX: Final = 100
"""A Unix socket's path. The kernel's field has 108 bytes on Linux and 104 on macOS, its final zero included."""

BACKGROUND_RETRY_S: Final = 60.0
"""How long a background sidecar waits before it tries again what could not run, a page whose port is taken, say."""

CANCELLED_ANSWER_S: Final = 5.0
"""How long the answer to a cancelled call over stdio may still come as its answer."""

REGISTERED_CHARS_MIN: Final = 8
"""A registered secret. Shorter text turns up by chance, and then ordinary messages would be hidden or blocked."""

REGISTERED_CHARS_MAX: Final = 32 * KIB
"""Twice the longest private key; each form of a value is held in memory."""

EVENT_TIMES_MAX: Final = 100
"""Events of one stream whose times are recorded with its call; how many there were is always counted."""

ENCODING_DEPTH_MAX: Final = 3
"""Encodings within encodings that are undone: honest senders use two, and each one more costs another scan."""

UNWRAPPED_BYTES_MAX: Final = 8 * MIB
"""What all encoded stretches of one message may grow to. The largest body in base64 is refused long before a bomb ends."""

INFLATED_BYTES_MAX: Final = 4 * MIB
"""What one compressed stretch may grow to."""

UNWRAPPED_RUNS_MAX: Final = 2_000
"""Encoded runs of one message that are undone, some 10 microseconds each."""

UNWRAPPED_CHANGES_MAX: Final = 50_000
"""Letters of one message that are read in another way than they are written, about a microsecond each."""

JOINED_FIELDS_MAX: Final = 256
"""Short fields of one message that are also read as one text, in case a value was cut into them."""

TOKENS_PER_MESSAGE_MAX: Final = SPANS_MAX
"""Tokens of one message that turn back; each costs two keyed hashes. The rest stay tokens."""

TOKEN_HEADS_MAX: Final = 4 * TOKENS_PER_MESSAGE_MAX
"""Places of one text that begin like a token and are looked at, some 5 microseconds each."""

TOKENS_PER_SESSION_MAX: Final = 5_000
"""Values of one session that stand behind tokens. The one used longest ago is forgotten: its token then turns back no more."""

TOKENS_MAX: Final = 200_000
TOKENS_CHARS_MAX: Final = 64 * MIB
"""The same of all sessions together, as a number and in characters; what the idlest session used longest ago goes first."""

TOKEN_VALUE_CHARS_MAX: Final = 32 * KIB
"""A value behind a token: twice the longest private key. A longer one is redacted instead."""

TOKEN_IDLE_S: Final = 24 * 3600
"""How long after its last use a value is kept. Agents work for hours; what a day did not need is not kept."""

DEFINITIONS_MAX: Final = 2_000
"""Tools and prompts of one server whose definitions are remembered; servers offer tens, and what is beyond counts as new."""

DEFINITION_VARIANTS_MAX: Final = 16
"""Definitions of one tool that are remembered beside the accepted ones: a server may say something else to every caller."""

DEFINITION_APPROVALS_MAX: Final = 50_000
"""Definitions that people approved; a line each, appended by hand or by a script."""

DEFINITION_CHARS_MAX: Final = 64 * KIB
"""One definition as it is kept, to show later how it changed. Most have one or two KiB."""

DEFINITION_TEXT_CHARS_MAX: Final = 256 * KIB
"""The text of one definition that is searched for what people do not see; in a longer one that is not known."""

DEFINITION_CHANGES_MAX: Final = 40
"""Differences between two definitions that are told one by one; the rest is counted."""

DEFINITION_EVENTS_PER_DAY: Final = 20
"""Findings of one rule about one tool's definition, and its versions written to the record, in a day: a server whose
definitions differ every time would otherwise fill the record."""

DEFINITION_TOLD_MAX: Final = 200
"""Findings about one tool's definition that are remembered, so that each is told once and not with every list."""

DEFINITION_SETTLES_S: Final = 3600.0
"""How long after a server's first list a tool may first appear without counting as new, when no list ever came to its end."""

DEFINITION_STALE_S: Final = 30 * 24 * 3600.0
"""After a month in no list a tool's name is free for another server."""

DEFINITIONS_SAVE_S: Final = 1.0
"""How often what was learnt of definitions is written to disk, and approvals are looked for."""

DEFINITIONS_FILE_BYTES_MAX: Final = 256 * MIB
"""The file of remembered definitions: more than what all the bounds above allow for an ordinary number of servers."""

HIDDEN_PLACES_MAX: Final = 100
"""Comments and tags of one text in which orders are looked for; so many of them are odd by themselves."""

FINDING_PREVIEW_CHARS_MAX: Final = 1_000
"""What a finding tells of a definition: how it changed, or what is hidden in it. The whole difference is in the table tools."""

TAIL_CHARS_MAX: Final = 4 * KIB
"""What is remembered of the end of one text that goes on in the next message: the longest private key and some more."""

TAILS_MAX: Final = 16
TAIL_FOUND_MAX: Final = 100
"""Such texts of one call or stream, and values found in one of them: a call speaks of its progress in one or two."""

ECHO_CHARS_MIN: Final = 6
"""A value that is also looked for in the other copy of a result. Shorter ones stand everywhere and mean other things."""

ECHO_CHARS_MAX: Final = 500_000_000
"""Characters that are searched for values of the other copy, about a quarter of a second; with more the result may not pass."""

EFFORT_MAX: Final = 250_000
"""What looking closely at one message may cost, in about microseconds (``Detector.effort``): hundreds of times what ordinary
messages need, thousands of values. Counted, not timed, so that the same message always gets the same verdict. Text that
hides in encodings has at least half of it, whatever the plain text took."""

HITS_SURPLUS_MAX: Final = 500_000
BYTES_PER_SURPLUS_HIT: Final = 32
"""Hits of one message beyond those that are looked at, for all detectors: this many, and in large messages one for so many
bytes. Counting one takes up to half a microsecond; log lines with an address each have fewer."""

HEX_PAIRS_BYTES_MAX: Final = MIB
"""Pairs of hex digits with signs between that are read in one go."""

CUSTOM_KINDS_MAX: Final = 200
"""Custom kinds of all policy files together; their prefilters share one pass, their patterns do not."""

CUSTOM_REGEX_CHARS_MAX: Final = 2_000
CUSTOM_REGEX_MEMORY_BYTES: Final = 16 * MIB
"""One custom pattern as written and as compiled. Longer ones are lists; a list of a thousand words takes some 2 MiB."""

CUSTOM_WORDS_MAX: Final = 1_000
TERM_CHARS_MAX: Final = 100
"""Words of one ``keywords`` or ``near``, and one of them: each takes up to 6 ms to compile. Longer lists are ``exact``."""

CUSTOM_MATCH_BYTES_MAX: Final = 2 * KIB
"""What a custom pattern may match. It is looked for in windows of twice that, so that no pattern takes quadratic time."""

CUSTOM_CANDIDATES_MAX: Final = 8 * SPANS_MAX
CUSTOM_SPANS_MAX: Final = SPANS_MAX // 2
"""Matches of one custom kind in one text that are checked, 10 microseconds each, and values of it that are kept."""

NEAR_CHARS_MAX: Final = 1_000
"""How far words of ``near`` may stand from a value; further away they speak of something else."""

EXACT_LOOKUPS_MAX: Final = 20_000
"""Candidates of one text that are looked up in one list, some 5 microseconds each."""

EXACT_WORDS_MAX: Final = 16
EXACT_CHARS_MAX: Final = 400
"""One value of a list. Longer ones are sentences, and would be looked for at each word that begins one."""

EXACT_FILE_BYTES_MAX: Final = 512 * MIB
EXACT_SORTED_MAX: Final = 500_000
"""One list, which is held in memory (30 million values), and hashes sorted at a time while it is built (50 MB)."""

EXACT_KEY_CHARS_MIN: Final = 16
"""A shorter key of a list could be guessed, and with it the values."""

CSV_FIELD_CHARS_MAX: Final = MIB
"""One cell of a CSV file; a longer one is a quotation mark that is never closed."""
