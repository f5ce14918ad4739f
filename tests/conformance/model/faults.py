"""The faults that the model can be given: each breaks one clause, as a tired colleague would break it.

The right code has none of them in it, but for the framing (frames.py), where they stand beside the rules that
they break. The others are overrides of the right code's methods, in faulty.py, faulty_store.py and
faulty_values.py. At every such place stands fault("name").
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    name: str
    clause: str
    what: str
    needs_redis: bool
    needs_nodes: bool

    @property
    def features(self) -> tuple[str, ...]:
        """Those that the server has to serve so that it can be seen."""
        if self.needs_nodes:
            return ("broadcast", "history", "nodes")
        return ("broadcast", "history") if self.clause.startswith(("CAST", "HIST")) else ()


NO_FAULT = "none"  # runs the server that can have faults without any: it has to be right as well

_on: set[str] = set()


def switch_on(name: str) -> None:
    if name not in FAULTS and name != NO_FAULT:
        raise ValueError(f"no fault is called {name!r}; --list-faults tells which there are")
    _on.add(name)


def fault(name: str) -> bool:
    """Is this fault switched on?"""
    assert name in FAULTS, name
    return name in _on


def any_fault() -> bool:
    return bool(_on)


def _read_table(table: str) -> dict[str, Fault]:
    """Lines of 'name clause what'; '(redis)' or '(nodes)' before the text: only to be seen with them."""
    faults: dict[str, Fault] = {}
    for line in filter(None, map(str.strip, table.splitlines())):
        name, clause, what = line.split(None, 2)
        needs_nodes = what.startswith("(nodes) ") or clause.startswith("NODE")
        needs_redis = needs_nodes or what.startswith("(redis) ") or clause.startswith("STORE")
        assert name not in faults, name
        what = what.removeprefix("(redis) ").removeprefix("(nodes) ")
        faults[name] = Fault(name, clause, what, needs_redis, needs_nodes)
    return faults


FAULTS = _read_table("""
wrong-accept-key              WS-1   the accept key is the digest in hexadecimal
header-case-matters           WS-1   header names and values are compared with their case
headers-past-1k-refused       WS-1   a handshake of more than 1 KiB is refused
connection-list-refused       WS-1   "Connection: keep-alive, Upgrade" is refused
subprotocol-required          WS-2   a client that offers no subprotocol is refused
subprotocol-uninvited         WS-3   a subprotocol is selected that nobody offered
extension-uninvited           WS-3   permessage-deflate is selected that nobody offered
unknown-subprotocol-refused   WS-17  a client that offers only unknown subprotocols is refused
unknown-subprotocol-selected  WS-17  the first subprotocol offered is selected, whatever it is
version-ignored               WS-4   every Sec-WebSocket-Version is upgraded
version-absent-accepted       WS-4   a handshake without a version is upgraded
versions-to-13-accepted       WS-4   every version up to 13 is upgraded
key-ignored                   WS-4   a handshake without a key is upgraded
fragments-are-messages        WS-5   each fragment is taken for a message
last-fragment-lost            WS-5   the last fragment of three or more is lost
empty-fragment-ends           WS-5   an empty fragment ends the message
utf8-checked-per-fragment     WS-5   a character that two fragments share is not UTF-8
fragments-mixed               WS-5   the fragments of all connections are collected in one place
pong-ends-fragments           WS-5   a pong between fragments makes the fragments before it forgotten
pong-empty                    WS-13  pongs have no payload
pong-missing                  WS-13  pings are not answered
pong-cut                      WS-13  the pong has the first 64 bytes of the payload
pong-repeats-first            WS-13  each pong has the payload of the connection's first ping
pong-to-the-first-only        WS-13  of pings that come together only the first is answered
pong-not-between-fragments    WS-13  a ping between fragments is not answered
ping-ends-fragments           WS-13  a ping between fragments makes the fragments before it forgotten
close-answered-1000           WS-14  a close frame is always answered with 1000
close-without-code            WS-14  a close frame is answered with an empty one
close-unanswered              WS-14  at a close frame TCP just ends
close-unsigned-unanswered     WS-14  at a close frame of a connection that is not signed TCP just ends
close-keeps-tcp               WS-14  after the close frames TCP stays open
utf8-replaced                 WS-6   bytes that are not UTF-8 become U+FFFD
utf8-illegal                  WS-6   text that is not UTF-8 is answered as illegal
utf8-close-1002               WS-6   text that is not UTF-8 is closed with 1002
utf8-surrogates-accepted      WS-6   surrogates in UTF-8 are accepted
utf8-first-kib-checked        WS-6   of a long message only the first KiB is looked at
utf8-processed-first          WS-6   a message that is not UTF-8 is repaired and processed, then closed
message-max-65535             WS-7   messages of 65,536 bytes are too long
message-max-32768             WS-7   messages beyond 32 KiB are too long
too-long-1002                 WS-8   a message that is too long is closed with 1002
too-long-1000                 WS-8   a message that is too long is closed with 1000
too-long-without-close        WS-8   at a message that is too long TCP just ends
too-long-by-one-accepted      WS-8   one byte more than the limit is accepted
limit-for-each-fragment       WS-8   the limit counts for each fragment alone
limit-in-characters           WS-8   the limit counts characters
limit-of-text-only            WS-8   binary messages may have any length
length-of-32-bits             WS-8   of a frame's length only the last 32 bits are read
too-long-processed            WS-8   a fragmented message that is too long is processed up to there
unmasked-accepted             WS-15  frames without a mask are accepted
reserved-bits-accepted        WS-15  reserved bits are ignored
reserved-bit-3-accepted       WS-15  only the reserved bits 1 and 2 are looked at
opcode-3-ignored              WS-15  frames with the opcodes 3 to 7 are ignored
opcode-11-ignored             WS-15  frames with the opcodes 11 to 15 are ignored
fragmented-ping-accepted      WS-15  a ping that is fragmented is answered
long-ping-accepted            WS-15  a ping of more than 125 bytes is answered
stray-continuation-ignored    WS-15  a continuation without a beginning is ignored
interleaved-accepted          WS-15  a new message inside a fragmented one replaces it
empty-beginning-forgotten     WS-15  a new message inside a fragmented one that began empty replaces it
violation-1000                WS-15  a frame that breaks the rules is closed with 1000
violation-without-close       WS-15  a frame that breaks the rules just ends TCP
replies-binary                WS-16  replies are binary messages
deliveries-binary             WS-16  deliveries are binary messages
deliveries-in-array           WS-16  a delivery is an array of one object
reply-with-newline-object     WS-16  the reply has a second JSON text behind it
astral-as-surrogates          WS-16  characters beyond U+FFFF leave as two surrogates in three bytes each
greeting                      WS-11  a connection is greeted
greeting-late                 WS-11  a connection that does nothing is told so after 300 ms
notice-to-unsigned            WS-11  connections that are not signed are told how many users there are
stop-1000                     WS-9   an orderly stop says 1000
stop-without-close            WS-9   an orderly stop just ends TCP
stop-tells-signed-only        WS-9   an orderly stop says nothing to connections that are not signed
stop-tells-first-20           WS-9   an orderly stop says something to the first 20 connections only
never-pings                   WS-10  nobody is ever pinged
pings-without-end             WS-10  a peer that answers no ping is pinged again and again
pings-once-asked              WS-10  a connection that has asked for nothing yet is not pinged
huge-length-ends-server       WS-12  a frame that says that it is huge ends the process
slow-reader-blocks-sender     WS-12  a sender waits until the slowest recipient has read
slow-reader-blocks-all        WS-12  everybody waits until the slowest recipient has read
slow-reader-costs-others      WS-12  when one device is slow, the devices behind it get nothing
refused-by-end-of-tcp         WS-18  above the limit of connections TCP just ends
refused-with-400              WS-18  above the limit of connections the answer is 400
too-many-lost                 WS-19  requests above a number are not answered
too-many-refused              WS-19  requests above a number are refused
too-many-closed-1011          WS-19  after a number of requests the connection is closed with 1011
unfinished-stays              WS-20  a message that does not end is waited for without end
unfinished-header-stays       WS-20  a frame of which only the header has come is waited for without end
unfinished-fragments-stay     WS-20  each fragment gives its message the whole time again
unfinished-1011               WS-20  a message that does not end is refused with 1011
type-must-be-first            JSON-1  `type` has to be the first member
no-space-before-colon         JSON-1  white space before a colon is refused
newline-refused               JSON-1  only blanks and tabs are white space
escaped-names-unknown         JSON-1  escapes in names are not decoded
escaped-type-unknown          JSON-1  escapes in `type` are not decoded
escaped-slash-refused         JSON-1  the escape of a slash is refused
uppercase-hex-refused         JSON-1  upper-case digits in an escape are refused
leading-zero                  JSON-2  01 is a number
trailing-point                JSON-2  1. is a number
leading-point                 JSON-2  .5 is a number
plus-sign                     JSON-2  +1 is a number
not-a-number                  JSON-2  NaN and Infinity are numbers
trailing-comma                JSON-2  a comma may stand behind the last member
trailing-comma-in-array       JSON-2  a comma may stand behind the last element
raw-control                   JSON-2  control characters in strings need no escape
raw-tab                       JSON-2  a tab in a string needs no escape
byte-order-mark               JSON-2  a byte order mark is skipped
second-value                  JSON-2  what stands behind the value is ignored
comments                      JSON-2  comments are skipped
single-quotes                 JSON-2  strings may stand in single quotes
wide-space                    JSON-2  U+00A0 and form feed are white space
empty-ignored                 JSON-2  an empty message is not answered
unknown-escape                JSON-2  an unknown escape stands for its character
capital-literals              JSON-2  True, False and None are literals
not-json-just-closed          JSON-2  text that is not JSON is closed without a reply
lax-past-1k                   JSON-2  a message of more than 1 KiB may have trailing commas and comments
second-value-past-1k          JSON-2  of a message of more than 1 KiB what stands behind the value is ignored
lone-surrogates               JSON-3  half a surrogate pair becomes U+FFFD
lone-low-surrogate            JSON-3  the second half of a surrogate pair may stand alone
lone-surrogate-in-unknown     JSON-3  half a surrogate pair is let pass in members that nobody reads
lone-surrogates-past-1k       JSON-3  half a surrogate pair is let pass behind the first KiB
lone-surrogate-in-name        JSON-3  half a surrogate pair is let pass in names
unknown-members-refused       JSON-4  a request with an unknown member is illegal
members-passed-on             JSON-4  the delivery has the request's other members as well
names-end-at-nul              JSON-4  a name ends at U+0000
names-nfkc                    JSON-4  names are normalised (NFKC)
members-in-reply              JSON-4  the reply has the request's other members as well
first-name-counts             JSON-5  the first of members with the same name counts
repeated-name-refused         JSON-5  a repeated name is illegal
repeated-by-spelling          JSON-5  names are the same only if spelled the same; the plain one counts
depth-32                      JSON-6  32 levels are too deep
depth-63                      JSON-6  64 levels are too deep
depth-without-end             JSON-7  every depth is accepted
depth-of-arrays-only          JSON-7  objects do not count as levels
depth-512-more                JSON-7  the limit is one more than documented
too-deep-just-closed          JSON-7  what is nested too deep is closed without a reply
string-ends-server            JSON-8  a message that is a JSON string ends the process
deep-ends-server              JSON-8  10,000 levels end the process
nul-ends-server               JSON-8  U+0000 in a uid ends the process
long-digits-hang              JSON-8  numbers are computed digit by digit, in the square of their length
deep-hangs                    JSON-8  nesting costs the square of its depth
type-folded                   JSON-9  `type` is compared without case
type-trimmed                  JSON-9  `type` is trimmed
type-true-signs               JSON-9  `true` is a sign
type-by-prefix                JSON-9  every `type` that begins like a known one is that one
uid-zero-empty                UID-1  "0" is taken for empty
uid-max-64                    UID-1  uids are 64 bytes at most
uid-max-127                   UID-1  uids are shorter than 128 bytes
uid-ascii-only                UID-1  uids are ASCII
uid-without-space             UID-1  uids have no spaces
uid-word-characters           UID-1  uids have letters, digits, underscore, hyphen and full stop only
uid-c1-refused                UID-1  U+0080 to U+009F are refused as well
uid-astral-refused            UID-1  uids have no characters beyond U+FFFF
integer-uid-distinct          UID-2  the integer 1001 is another user than "1001"
integer-uid-refused           UID-2  a uid is a string
integer-to-refused            UID-2  `to` is a string
negative-uid-refused          UID-2  a negative integer is refused
minus-zero-kept               UID-2  -0 is "-0"
uid-32-bits                   UID-2  integers wrap round at 32 bits
uid-through-double            UID-2  integers are printed with 15 significant digits
uid-max-integer-refused       UID-2  2^53-1 itself is out of range
empty-uid                     UID-3  the empty string is a uid
uid-129-bytes                 UID-3  129 bytes are accepted
uid-128-characters            UID-3  the length is counted in characters
uid-of-any-length             UID-3  the length is not looked at
uid-del                       UID-3  U+007F is accepted
uid-nul                       UID-3  U+0000 is accepted
uid-newline                   UID-3  a newline is accepted
uid-fraction                  UID-3  1001.0 is 1001
uid-exponent                  UID-3  1e3 is 1000
uid-2-53                      UID-3  2^53 is accepted
uid-true                      UID-3  true is 1
uid-null                      UID-3  null is the user "null"
uid-array                     UID-3  an array is the user Array
uid-object                    UID-3  an object is the user Array
uid-trimmed                   UID-4  white space around a uid is removed
uid-folded                    UID-4  uids are compared without case
uid-ascii-folded              UID-4  A to Z and a to z are the same in uids
uid-nfc                       UID-4  uids are normalised (NFC)
uid-nfkc                      UID-4  uids are normalised (NFKC)
uid-cut-at-64                 UID-4  only the first 64 bytes of a uid count
uid-digits-as-number          UID-4  strings that look like numbers are compared as numbers
uid-accents-folded            UID-4  uids are compared without accents
uid-invisibles-dropped        UID-4  joiners and variation selectors in uids mean nothing
uid-leading-zeros             UID-4  "007" is "7"
uid-escapes-kept              UID-4  escapes in uids are not decoded
from-as-signed                UID-5  `from` is a number if the uid was signed as one
from-number-like              UID-5  `from` is a number if the uid looks like one
object-to-array               BODY-1  {} arrives as []
nested-object-to-array        BODY-1  {} inside of something arrives as []
object-of-numbers-to-array    BODY-1  {"0":…,"1":…} arrives as an array
number-6-digits               BODY-1  numbers are rounded to 6 digits
number-15-digits              BODY-1  fractions are rounded to 15 digits
number-32-bits                BODY-1  integers beyond 32 bits are cut
nul-dropped                   BODY-1  U+0000 is dropped
nul-ends-string               BODY-1  a string ends at U+0000
astral-lost                   BODY-1  characters beyond U+FFFF become U+FFFD
null-members-dropped          BODY-1  members that are null are dropped
empty-members-dropped         BODY-1  members that are empty strings are dropped
strings-trimmed               BODY-1  white space around strings is removed
strings-nfc                   BODY-1  strings are normalised (NFC)
strings-cut-at-1024           BODY-1  strings are cut after 1024 characters
html-escaped                  BODY-1  < and & are escaped for HTML
body-stringified              BODY-1  an object or array arrives as a string
booleans-to-numbers           BODY-1  true and false arrive as 1 and 0
body-wrapped                  BODY-1  an object arrives with a member of the server's
newline-normalised            BODY-1  CR LF arrives as LF
newline-normalised-past-200   BODY-1  CR LF arrives as LF in strings of more than 200 characters
body-through-doubles          BODY-2  numbers arrive as doubles
body-integers-clamped         BODY-2  integers beyond 64 bits arrive as the largest one
body-huge-null                BODY-2  1e400 arrives as null
body-minus-zero               BODY-2  -0 arrives as 0
body-exponent-trimmed         BODY-2  the plus sign of an exponent is dropped
body-sorted                   BODY-2  members arrive sorted
body-repeated-collapsed       BODY-2  of members with the same name the last arrives
null-is-missing               BODY-3  null is a missing body
false-is-missing              BODY-3  false is a missing body
zero-is-missing               BODY-3  0 is a missing body
empty-string-is-missing       BODY-3  "" is a missing body
empty-array-is-missing        BODY-3  [] and {} are missing bodies
body-must-be-string           BODY-3  a body that is not a string is refused
cid-never                     CID-1  no reply has a cid
cid-not-with-errors           CID-1  a reply with status 0 has no cid
cid-not-with-sign             CID-1  the reply to a sign has no cid
cid-cut-at-32                 CID-1  a cid is cut after 32 characters
cid-64-refused                CID-1  a cid of 64 bytes is too long
cid-ascii-only                CID-1  a cid is ASCII
cid-trimmed                   CID-1  white space around a cid is removed
cid-of-request-before         CID-1  the reply has the cid of the request before
cid-number-if-digits          CID-1  a cid of digits is echoed as a number
cid-not-with-unavailable      CID-1  (redis) an unavailable reply has no cid
cid-null                      CID-2  a reply to a request without cid has cid null
cid-empty                     CID-2  a reply to a request without cid has an empty one
cid-sticks                    CID-2  a reply to a request without cid has the last one
cid-made-up                   CID-2  a reply to a request without cid has one that the server made up
cid-number-echoed             CID-3  a number is a cid
cid-number-ignored            CID-3  a cid that is no string is ignored
cid-null-ignored              CID-3  cid null is like none
cid-empty-accepted            CID-3  the empty string is a cid
cid-65-accepted               CID-3  65 bytes are accepted
cid-64-characters             CID-3  the length is counted in characters
invalid-cid-echoed            CID-3  the reply that calls a cid invalid has it
invalid-cid-done              CID-3  a request with an invalid cid is done all the same
invalid-cid-illegal           CID-3  a request with an invalid cid is illegal
illegal-with-cid              CID-4  the reply to an illegal request has its cid
reply-twice                   REPLY-1  each reply comes twice
error-twice                   REPLY-1  each reply with status 0 comes twice
reply-to-all-devices          REPLY-1  all devices of the sender's uid get the reply
reply-to-newest               REPLY-1  every fifth reply goes to the newest connection
reply-lost                    REPLY-1  every twentieth reply of a connection is lost
reply-lost-by-violation       REPLY-1  what waits when a frame breaks the rules is not answered
reply-not-to-errors           REPLY-1  an invalid parameter gets no reply
status-boolean                REPLY-2  status is true or false
status-string                 REPLY-2  status is "1" or "0"
status-200                    REPLY-2  status is 200 or 400
status-1-for-invalid          REPLY-2  invalid parameters have status 1
status-0-but-done             REPLY-2  a message to oneself is delivered and has status 0
msg-english                   REPLY-3  msg is in English
msg-traditional               REPLY-3  a sign is answered with traditional characters
msg-sent                      REPLY-3  msg is "sent"
msg-without-comma             REPLY-3  the comma of not_signed is a space
msg-of-invalid                REPLY-3  an invalid uid has the text of an illegal request
codes-missing                 REPLY-4  no reply has a code
code-of-illegal-missing       REPLY-4  the illegal reply has no code
code-invalid                  REPLY-4  the code of every invalid parameter is "invalid"
code-number                   REPLY-4  codes are numbers
reply-has-from                REPLY-5  replies have `from`
sended-has-from               REPLY-5  the reply to a msg has `from`
delivery-has-status           REPLY-5  deliveries have `status`
to-before-not-signed          REPLY-6  parameters are checked before the sign
cid-behind-not-signed         REPLY-6  the cid is checked behind the sign
body-before-to                REPLY-6  the body is checked before `to`
cid-before-illegal            REPLY-6  the cid is checked before the type
cid-behind-parameters         REPLY-6  the cid is checked behind the other parameters
reply-before-1007             REPLY-6  the illegal reply is sent before a close with 1007
closes-after-not-signed       REPLY-7  not_signed closes the connection
closes-after-invalid          REPLY-7  an invalid parameter closes the connection
closes-after-third-error      REPLY-7  the third error closes the connection
closes-after-50-errors        REPLY-7  the fiftieth error closes the connection
deaf-after-error              REPLY-7  after an error nothing is answered any more
unavailable-but-sended        REPLY-8  (redis) a msg that cannot be done is answered as sended and lost
unavailable-but-delivered     REPLY-8  (redis) a msg that is answered as unavailable is delivered at once
unavailable-delivered-later   REPLY-8  (redis) a msg answered as unavailable is delivered when Redis is back
unavailable-signed-later      REPLY-8  (redis) a sign answered as unavailable is done when Redis is back
unavailable-but-signed        REPLY-8  (redis) a sign that is answered as unavailable is done at once
sign-without-token            SIGN-1  the reply to a sign has no token
sign-status-0                 SIGN-1  the reply to a sign has status 0
token-empty                   SIGN-2  the token is empty
token-uppercase               SIGN-2  the token has upper-case digits
token-31-digits               SIGN-2  the token has 31 digits
token-uuid                    SIGN-2  the token is a UUID with hyphens
token-64-digits               SIGN-2  the token has 64 digits
token-of-connection           SIGN-3  the token is the same for each sign of a connection
token-of-uid                  SIGN-3  the token is the MD5 of the uid
token-of-second               SIGN-3  the token is the MD5 of the clock in seconds
token-counter                 SIGN-3  the token counts
token-of-server               SIGN-3  the token is always the same
token-of-count                SIGN-3  the token is the MD5 of a number that counts from 1
token-of-two-halves           SIGN-3  the token is 16 random digits, twice
sign-takes-effect-late        SIGN-4  a device is added 300 ms after the reply
sign-before-first-message     SIGN-4  a device is added at its first own msg
device-before-reply           SIGN-4  a device gets messages while its sign is not answered yet
second-device-not-added       SIGN-4  a second device is signed and receives nothing
resign-doubles                SIGN-5  after the same sign again each message comes twice
resign-removes                SIGN-5  after the same sign again nothing comes
resign-256-removes            SIGN-5  from the 256th sign of a connection on nothing comes
resign-toggles-after-move     SIGN-5  after another sign and the first again nothing comes
move-keeps-old                SIGN-6  after a sign with another uid the old uid's messages come, too
move-keeps-old-only           SIGN-6  after a sign with another uid only the old uid's messages come
move-sends-as-old             SIGN-6  after a sign with another uid messages are from the old one
move-takes-effect-late        SIGN-6  the old uid is left 300 ms after the reply
move-keeps-undelivered        SIGN-6  messages that are on their way to the old uid come late, after the reply
tenth-move-keeps-old          SIGN-6  every tenth sign with another uid leaves the old one as well
move-refused                  SIGN-6  a sign with another uid is answered and ignored
failed-sign-unsigns           SIGN-7  a failed sign makes the connection unsigned
failed-sign-stops-receiving   SIGN-7  after a failed sign the device can send and receives nothing
failed-sign-signs             SIGN-7  a sign with an invalid cid signs
missing-uid-signs             SIGN-8  a sign without uid is the user ""
missing-uid-illegal           SIGN-8  a sign without uid is illegal
invalid-uid-as-to             SIGN-8  an invalid uid is answered as invalid_to
one-device-only               SIGN-9  a sign takes the uid from its older device
older-device-closed           SIGN-9  a sign closes the uid's older devices
two-devices-only              SIGN-9  the third device of a uid is refused
64-devices-only               SIGN-9  from the 65th device of a uid on nothing comes
ten-devices-only              SIGN-9  the eleventh device of a uid takes the first one's place
msg-refused-past-1k           MSG-1  a msg of more than 1 KiB is answered as invalid_to
msg-refused-after-10          MSG-1  from the eleventh msg of a connection on each is answered as unavailable
msg-to-self-refused           MSG-1  a msg to oneself is answered as invalid_to
newest-device-only            MSG-2  only the newest device gets the message
oldest-device-only            MSG-2  only the oldest device gets the message
third-device-forgotten        MSG-2  the third device gets nothing
two-devices-get-it            MSG-2  only two devices get the message
delivered-twice               MSG-2  each message comes twice
second-device-twice           MSG-2  the second device gets each message twice
lost-past-1k                  MSG-2  a body of more than 1 KiB does not arrive
lost-past-60k                 MSG-2  a body of more than 60,000 bytes does not arrive
lost-256th                    MSG-2  the 256th message of a connection does not arrive
lost-past-1000                MSG-2  after 1000 messages of a connection none arrives
lost-if-repeated              MSG-2  a message that is the same as the one before does not arrive
lost-if-cid-repeated          MSG-2  a message with the cid of the one before does not arrive
broken-device-costs-others    MSG-2  the devices behind one whose TCP has broken get nothing for a second
frame-of-126-short            MSG-2  a frame of 126 bytes has a short length
frame-of-65536-short          MSG-2  a frame of 65,536 bytes has a length of 16 bits
lost-each-tenth               MSG-2  every tenth message does not arrive
burst-ends-reader             MSG-2  a device for which a megabyte comes within a second is dropped
body-and-to-swapped           MSG-2  `from` is the recipient
to-senders-devices-too        MSG-3  the sender's other devices get the message, too
to-senders-devices-with-cid   MSG-3  the sender's other devices get a message that has a cid, too
to-sender-too                 MSG-3  the sending connection gets the message, too
to-prefix-too                 MSG-3  users whose uid begins like `to` get the message, too
to-shorter-prefix-too         MSG-3  users whose uid is a beginning of `to` get the message, too
to-unsigned-too               MSG-3  connections that are not signed get the message, too
to-everyone                   MSG-3  everybody who is signed gets the message
to-newest-too                 MSG-3  every third message goes to the newest connection, too
unsigned-sends                MSG-4  a connection that is not signed sends as ""
unsigned-delivered            MSG-4  the msg of a connection that is not signed is delivered all the same
unsigned-illegal              MSG-4  the msg of a connection that is not signed is illegal
offline-status-0              MSG-5  a msg to nobody has status 0
offline-msg                   MSG-5  a msg to nobody is answered with "offline"
offline-count                 MSG-5  the reply says how many devices got the message
offline-no-reply              MSG-5  a msg to nobody is not answered
missing-to-sended             MSG-6  a msg without `to` is answered as sended
missing-to-self               MSG-6  a msg without `to` goes to the sender
invalid-to-everyone           MSG-6  a msg with an invalid `to` goes to everyone
missing-to-as-uid             MSG-6  a missing `to` is answered as invalid_uid
missing-body-null             MSG-7  a msg without body delivers null
missing-body-sended           MSG-7  a msg without body is answered as sended
missing-body-delivered        MSG-7  a msg without body is answered as missing_body and delivers null
self-not-sender               MSG-8  of a msg to oneself the sending connection gets nothing
self-only-sender              MSG-8  a msg to oneself reaches the sending connection only
self-only-sender-past-4k      MSG-8  of a msg to oneself of more than 4 KiB the other devices get nothing
from-given                    MSG-9  `from` is what the request says
from-of-first-device          MSG-9  every fifth `from` is the first user's
from-of-last-sign             MSG-9  `from` is whoever signed last
pipelined-swapped             ORDER-1  two requests that wait are taken in the wrong order
errors-overtake               ORDER-1  errors overtake replies that wait
pending-before-illegal-lost   ORDER-1  what waits before an illegal request is dropped
pipelined-past-32-lost        ORDER-1  of more than 32 requests that wait the rest is dropped
signs-overtake                ORDER-1  a sign that waits is taken first
long-messages-late            ORDER-2  deliveries of more than 1 KiB come 50 ms later
long-past-16k-late            ORDER-2  deliveries of more than 16 KiB come 50 ms later
deliveries-swapped            ORDER-2  a device gets each second message before the first
second-device-late            ORDER-2  the second device gets each odd message 50 ms later
reply-before-delivery         ORDER-3  the reply comes before the delivery to oneself
late-300-ms                   ORDER-3  all deliveries come 300 ms late
move-leaves-first             ORDER-5  who moves leaves the old uid 5 ms before it is a device of the new one
move-joins-first              ORDER-5  who moves is a device of both uids for 5 ms
move-loses-in-flight          ORDER-5  what is sent to a uid within 5 ms after a device moved away is lost
end-loses-in-flight           ORDER-5  what is sent to a uid within 5 ms after a device ended is lost
close-drops-waiting           ORDER-4  what waits when the close frame comes is dropped
close-drops-last              ORDER-4  the last request before the close frame is dropped
close-stops-deliveries        ORDER-4  what waits when the close frame comes is answered but not delivered
requests-behind-close-taken   ORDER-4  a request behind the close frame takes effect
close-drops-replies           ORDER-6  what waits when the close frame comes is not answered
close-drops-last-reply        ORDER-6  the last request before the close frame is not answered
non-object-ignored            ILLEGAL-1  a message that is no object is not answered
null-ignored                  ILLEGAL-1  null is not answered
unknown-type-invalid          ILLEGAL-1  an unknown type is an invalid parameter
missing-type-msg              ILLEGAL-1  a request without type is a msg
disconnect-missing            ILLEGAL-1  the illegal reply has no disconnect
disconnect-boolean            ILLEGAL-1  disconnect is true
binary-as-text                ILLEGAL-2  binary messages are taken for text
binary-ignored                ILLEGAL-2  binary messages are not answered
binary-in-fragments-as-text   ILLEGAL-2  a binary message in fragments is taken for text
binary-past-4k-1003           ILLEGAL-2  a binary message of more than 4 KiB is closed with 1003
binary-1003                   ILLEGAL-2  binary messages are closed with 1003
illegal-stays-open            ILLEGAL-3  the connection stays open after an illegal request
illegal-1000                  ILLEGAL-3  an illegal request is closed with 1000
illegal-without-code          ILLEGAL-3  an illegal request is closed without a code
illegal-without-close         ILLEGAL-3  after an illegal request TCP just ends
illegal-third-only            ILLEGAL-3  only the third illegal request closes
illegal-signed-stays          ILLEGAL-3  the connection stays open if it is signed
illegal-rest-answered         ILLEGAL-4  what waits behind an illegal request is answered before the close
illegal-rest-done             ILLEGAL-4  what waits behind an illegal request is done without reply
illegal-next-done             ILLEGAL-4  the request behind an illegal one is done
born-signed                   ID-1  a new connection has the uid of the one that closed last
born-as-newest                ID-1  a new connection has the uid that signed last
born-signed-from-store        ID-1  (redis) fds count from 1, and a new one is who Redis says
unsigned-after-20             ID-2  after twenty requests a connection is not signed any more
unsigned-without-key          ID-2  (redis) who has no key in Redis is not signed any more
unsigned-without-set          ID-2  (redis) who is in no set in Redis gets nothing any more
close-leaves-traces           ID-3  (redis) a close frame leaves the traces
reset-leaves-traces           ID-3  (redis) a reset leaves the traces
end-leaves-traces             ID-3  (redis) the end of TCP without close frame leaves the traces
traces-gone-late              ID-3  (redis) traces are gone after 3 s
left-in-outage-stays          ID-3   (redis) the traces of who leaves while Redis is away stay
close-leaves-key              ID-3  (redis) a close leaves the fd's own key
set-late                      STORE-1  the set is written 300 ms after the reply
set-is-list                   STORE-1  the fds are a list
set-of-newest-only            STORE-1  the set has the newest fd only
key-folded                    STORE-1  the uid in the key of a set is in lower case
key-cut-at-100                STORE-1  the uid in the key of a set is cut after 100 characters
set-doubled                   STORE-1  the set has each fd once more with a mark
set-kept-with-mark            STORE-2  an empty set is kept with a mark
stop-leaves-keys              STORE-2  an orderly stop leaves the keys
stop-leaves-keys-past-20      STORE-2  an orderly stop removes the keys of the first 20 connections only
move-leaves-fd                STORE-2  a sign with another uid leaves the fd in the old set
close-leaves-fd               STORE-2  a close leaves the fd in the set
ttl-missing                   STORE-3  the fd's key has no TTL
ttl-90000                     STORE-3  the fd's key lives for 90,000 s
key-is-hash                   STORE-3  the fd's key is a hash
key-is-json                   STORE-3  the fd's key is the uid in quotes
key-folded-uid                STORE-3  the uid in the fd's key is in lower case
key-of-first-uid              STORE-3  the fd's key stays at the first uid
ttl-not-renewed               STORE-11  the TTL is never renewed
ttl-renewed-if-missing        STORE-11  the fd's key is written again only when it is gone
fd-with-space                 STORE-4  an fd has a space
fd-too-long                   STORE-4  an fd has 65 characters
fd-not-ascii                  STORE-4  an fd is not ASCII
fd-from-1                     STORE-5  fds count from 1 at each start
fd-reused                     STORE-5  the fd of a closed connection is used again
stale-stay                    STORE-6  stale fds stay in the set
stale-keys-stay               STORE-6  the keys of stale fds stay
stale-late                    STORE-6  stale fds are removed after the reply
stale-foreign-stay            STORE-6  stale fds stay if this server has not made them up
stale-first-only              STORE-6  a sign removes one stale fd
stale-resign-only             STORE-6  stale fds are removed by the second sign only
live-siblings-removed         STORE-7  a sign removes the uid's other devices
foreign-live-keys-removed     STORE-7  a sign removes the keys of live fds that others put into its uid's set
stale-stops-delivery          STORE-12  a stale fd in the set ends the delivery
stale-refuses-msg             STORE-12  a msg to a uid with a stale fd is unavailable
never-repaired                STORE-8  what is deleted does not come back
first-50-repaired             STORE-8  only the first 50 connections' keys come back
set-not-repaired              STORE-8  only the fd's keys come back
deleted-not-delivered         STORE-8  who is deleted from the set gets nothing until it is back
outage-hangs                  STORE-9  without Redis nothing is answered
outage-one-by-one             STORE-9  each request of a connection waits for 0.8 s before it is unavailable
outage-after-5-s              STORE-9  a hung Redis is noticed after 5 s
outage-closes                 STORE-9  without Redis connections are closed
outage-exits                  STORE-9  without Redis the server exits
outage-sended                 STORE-9  without Redis a msg is answered as sended
outage-signs                  STORE-9  without Redis a sign is answered with status 1
never-back                    STORE-10  Redis is never tried again
back-after-8-s                STORE-10  Redis is tried again every 8 s
back-unsigned                 STORE-10  when Redis is back nobody is signed
back-without-traces           STORE-10  when Redis is back nobody is written anew
identity-from-store           STORE-13  who a sender is stands in Redis
devices-from-store            STORE-13  whom Redis names gets the message
wrong-type-exits              STORE-13  a key of the wrong type ends the server
wrong-type-unavailable        STORE-13  a key of the wrong type makes signs unavailable for ever
odd-member-exits              STORE-13  a member that is not ASCII ends the server
broadcast-refused-past-1k     CAST-1  a broadcast of more than 1 KiB has no body
broadcast-to-refused          CAST-1  a broadcast with an invalid `to` is refused
broadcast-null-refused        CAST-1  null is no body of a broadcast
broadcast-without-cid         CAST-1  the reply to a broadcast has no cid
broadcast-not-to-sender       CAST-2  the sending connection does not get its broadcast
broadcast-twice-to-sender     CAST-2  the sending connection gets its broadcast twice
broadcast-first-devices       CAST-2  only the first device of each user gets a broadcast
broadcast-misses-newest       CAST-2  the connection that signed last misses a broadcast
broadcast-to-64               CAST-2  64 devices get a broadcast
broadcast-dups                CAST-2  a broadcast with the cid of another is taken for a retry
broadcast-from-number         CAST-2  `from` is a number in a broadcast if the uid is one
broadcast-to-20               CAST-2  20 devices get a broadcast
broadcast-twice-after-move    CAST-2  who has signed again gets a broadcast twice
broadcast-unmarked            CAST-2  a broadcast does not say that it is one
broadcast-marked-true         CAST-2  `broadcast` is true
broadcast-has-id              CAST-2  a broadcast has an id and a time
broadcast-numbers-rounded     CAST-2  of the numbers in a broadcast 14 digits are left
broadcast-in-ascii            CAST-2  characters beyond ASCII arrive as question marks
broadcast-marks-msgs          CAST-2  a msg has `broadcast`, too: 0
broadcast-to-strangers        CAST-3  connections that are not signed get a broadcast
broadcast-to-failed-signs     CAST-3  a connection whose sign failed gets a broadcast
broadcast-unsigned-delivered  CAST-4  a broadcast that is answered as not_signed is delivered all the same
broadcast-unsigned-illegal    CAST-4  the broadcast of a connection that is not signed is illegal
broadcast-body-before-signed  CAST-4  that the body is missing is said before not_signed
broadcast-missing-sended      CAST-5  a broadcast without body is answered as sended
broadcast-missing-null        CAST-5  a broadcast without body is answered as missing_body and delivers null
broadcast-kept                CAST-6  who signs gets the last broadcast
broadcast-kept-for-users      CAST-6  who has signed before gets the broadcasts that have been sent since
broadcast-in-history          CAST-6  a broadcast is stored for whoever has an inbox
cut-off-tells-who-signs       CAST-6  (nodes) who signs on a node that was cut off gets earlier broadcasts
broadcasts-late               CAST-7  others get a broadcast 20 ms later
msgs-late-beside-broadcasts   CAST-7  others get a msg 20 ms later
broadcasts-late-past-1k       CAST-10 others get a broadcast of more than 1 KiB 50 ms later
broadcasts-swapped            CAST-10 others get each second broadcast before the first
broadcasts-there-swapped      CAST-10 (nodes) on other nodes each second broadcast comes before the first
kept-for-who-signs-elsewhere  CAST-11 (nodes) who signs on another node within a second of a broadcast gets it
broadcast-reply-first         CAST-8  the reply comes before the broadcast
broadcast-reply-overtakes     CAST-8  the reply to the second of two broadcasts that wait comes before it
denied-delivered              CAST-9  a broadcast that is denied is delivered
denied-by-prefix              CAST-9  whoever is called like a broadcaster at first may broadcast
denied-by-first-uid           CAST-9  whoever was a broadcaster may go on when signed as another
denied-before-body            CAST-9  that it is denied is said before that the body is missing
denied-nobody                 CAST-9  everybody may broadcast
offline-100                   HIST-1  of what waits 100 messages come
offline-first-only            HIST-1  of what waits the first message comes
offline-once                  HIST-1  what waited comes to the first device that signs, and to no other
offline-objects-to-arrays     HIST-1  {} arrives as [] if it had to wait
offline-past-10k-lost         HIST-1  a body of more than 10 KiB is not stored
inbox-folded                  HIST-1  uids that differ in case only have one inbox
inbox-normalised              HIST-1  uids that are equal after NFC have one inbox
inbox-trimmed                 HIST-1  uids that differ in white space at the ends have one inbox
inbox-64-bytes                HIST-1  uids whose first 64 bytes are equal have one inbox
inbox-file-name               HIST-1  uids that differ in punctuation only have one inbox
inbox-number                  HIST-1  uids that are the same number have one inbox
offline-numbers-rounded       HIST-1  of numbers that had to wait 14 digits are left
offline-cut-at-nul            HIST-1  a string that had to wait ends at U+0000
offline-digits-to-number      HIST-1  a string of digits that had to wait arrives as a number
refused-stored                HIST-1  the msg of a connection that is not signed is stored
restart-loses-unread          HIST-2  (redis) what has not been confirmed is gone after a restart
restart-loses-all             HIST-2  (redis) everything is gone after a restart
stored-late                   HIST-2  (redis) a message is stored 300 ms after the reply
delivery-without-id           HIST-3  deliveries have no id
offline-without-time          HIST-3  what waited has no time
time-in-seconds               HIST-3  the time is in seconds
time-in-whole-seconds         HIST-3  the time is rounded down to a second
time-of-delivery              HIST-3  the time is that of the delivery
time-as-string                HIST-3  the time is a string
ids-from-1                    HIST-4  ids count from 1-0 at each start
ids-of-clock                  HIST-4  messages of one millisecond have the same id
ids-of-sender                 HIST-4  ids rise for each sender only
reply-without-id              HIST-5  replies to msgs have no id
reply-id-not-to-self          HIST-5  the reply to a msg to oneself has no id
reply-id-of-next              HIST-5  the reply has the next id
reply-id-if-online            HIST-5  the reply has an id only if the recipient is signed
second-device-swapped         HIST-6  the second device gets each second message before the first
past-by-sender                HIST-6  what waited comes sorted by sender
past-newest-first             HIST-7  what waited comes with the newest first
past-before-reply             HIST-7  what waited comes before the reply to the sign
past-late                     HIST-7  what waited comes 50 ms after the reply, behind live ones
past-and-live-twice           HIST-7  what is stored while a device signs comes twice
past-and-live-lost            HIST-7  what is stored while a device signs does not come
move-without-past             HIST-7  after a sign with another uid what waits for it does not come
since-inclusive               HIST-8  the message with the id `since` comes again
since-skips-one               HIST-8  the message behind `since` does not come
since-as-text                 HIST-8  `since` is compared as a string
since-ms-only                 HIST-8  of `since` only the milliseconds are compared
since-confirmed-left-out      HIST-8  with `since` only what is not confirmed comes
full-page-cut                 HIST-8  of what waits the last does not come if they are a multiple of 100
since-once                    HIST-8  a second sign of a connection with `since` brings nothing
since-ignored                 HIST-8  `since` is ignored
bad-since-ignored             HIST-9  a `since` that is no id is ignored
bad-since-signs               HIST-9  a `since` that is no id is refused, and the connection is signed
bad-since-forgets-pings       HIST-9  after a `since` that is no id the pong to an older ping confirms nothing
bad-since-before-uid          HIST-9  a `since` that is no id is said before an invalid uid
since-leading-zeros           HIST-9  an id may have leading zeros
since-trimmed                 HIST-9  white space around an id is removed
since-hexadecimal             HIST-9  an id may be hexadecimal, with 0x in front
since-without-n               HIST-9  an id may be milliseconds alone
since-too-big                 HIST-9  an id may have numbers beyond 2^53-1
since-null-ignored            HIST-9  a `since` that is null is like none
gap-never                     HIST-10 there is never a gap
gap-0-0-only                  HIST-10 only "0-0" can have a gap
gap-not-0-0                   HIST-10 "0-0" never has a gap
gap-missing-one               HIST-10 that one message is missing is no gap
gap-again                     HIST-11 the same sign again, without since, tells of the same gap again
gap-true                      HIST-10 gap is true
gap-always                    HIST-11 there is always a gap
gap-of-confirmed              HIST-11 a sign without `since` has a gap if any message was dropped
gap-at-last-dropped           HIST-11 the id of the last message that was dropped has a gap behind it
gap-0                         HIST-11 gap is 0 if nothing is missing
pings-without-id              HIST-12 the ping after deliveries has no payload
pings-first-id                HIST-12 the ping has the id of the first of several deliveries
pings-late                    HIST-12 the ping comes after 3 s
pings-after-silence           HIST-12 the ping comes when deliveries pause
pings-live-only               HIST-12 no ping follows what waited
pings-not-after-broadcast     HIST-12 a broadcast behind the deliveries takes their ping away
pings-not-after-resign        HIST-12 the same sign again takes the ping of the deliveries before it away
pings-first-device            HIST-12 only the first device is pinged
pings-wait-for-pong           HIST-12 while a ping is not answered there is no other
pongs-ignored                 HIST-13 pongs confirm nothing
pongs-first-device            HIST-13 only the first device's pongs confirm
resign-forgets-pings          HIST-13 after the same sign again the pong to an older ping confirms nothing
pongs-newest-only             HIST-13 only the pong to the newest ping confirms
pongs-of-three                HIST-13 the pongs to the newest three pings confirm
pongs-forget-later            HIST-13 after a pong to an older ping those to later ones confirm nothing
pongs-late                    HIST-13 a pong takes effect after 300 ms
pongs-one-message             HIST-13 a pong confirms the one message with its id
pongs-back                    HIST-13 a pong with an older id takes newer ones back
pongs-all                     HIST-13 a pong confirms what was delivered after its ping as well
delivered-is-confirmed        HIST-14 what was delivered does not come again
pinged-is-confirmed           HIST-14 what a ping was sent for does not come again
broadcast-is-confirmed        HIST-14 a broadcast confirms what its devices got before
late-pong-for-next-uid        HIST-14 after a sign as another a late pong confirms for the new uid
close-is-confirmed            HIST-14 a device that closes in order has confirmed what it got
retains-100                   HIST-15 100 messages are retained
retains-one-less              HIST-15 one message less is retained than documented
retains-1-mib                 HIST-15 of long messages as many are retained as make 1 MiB
full-early                    HIST-16 a history is full with one message less
full-late                     HIST-16 a history is full with one message more
full-counts-confirmed         HIST-16 confirmed messages count
full-but-stored               HIST-16 a msg that is refused as full is stored
full-delivered                HIST-16 a msg that is refused as full is delivered to the devices that are there
full-before-body              HIST-16 that a history is full is said before missing_body
full-before-dup               HIST-16 a retry to a full history is refused
full-for-ever                 HIST-16 a history that was full stays so
full-drops-oldest             HIST-17 the oldest message makes room, confirmed or not
full-drops-newest             HIST-17 the newest message makes room for the next one
dups-unknown                  HIST-18 each retry is stored again
dups-of-connection            HIST-18 only the same connection's retries are recognised
dups-with-body                HIST-18 a retry has to have the same body
dups-as-spelled               HIST-18 cids are compared as they are spelled
dups-until-confirmed          HIST-18 retries are recognised until the message is confirmed
dups-until-dropped            HIST-18 retries are recognised while the message is retained
dups-of-last-1000             HIST-18 the last 1,000 cids are remembered
dups-delivered                HIST-18 a retry is delivered again
dups-without-id               HIST-18 the reply to a retry has no id
dups-without-dup              HIST-18 the reply to a retry has no dup
dups-of-last                  HIST-18 only the last cid of a user is remembered
dups-by-cid-only              HIST-19 a cid is the same whoever sends it to whomever
dups-across-senders           HIST-19 a cid is the same whoever sends it
dups-across-recipients        HIST-19 a cid is the same to whomever it is sent
dups-joined                   HIST-19 sender, recipient and cid are joined without a mark between them
dups-joined-by-colon          HIST-19 recipient, sender and cid are joined with colons, which they may have
dups-cid-first                HIST-19 cid, sender and recipient are joined with slashes, which they may have
dups-normalised               HIST-19 cids are compared after NFC
dups-until-nul                HIST-19 cids are compared up to U+0000
dups-32-bytes                 HIST-19 cids are compared up to the 32nd character
dups-folded                   HIST-19 cids are compared without case
dups-without-cid              HIST-19 the same body without cid is a retry
dups-of-refused               HIST-19 the cid of a msg that was refused is remembered
dup-always                    HIST-19 each reply has dup, 0 or 1
resign-brings-again           HIST-20 the same sign again brings what is not confirmed again
resign-brings-waited-again    HIST-20 the same sign again brings again what had waited
resign-forgets-since          HIST-20 the same sign again brings what the `since` before it had left out
future-since-mutes            HIST-21 what comes before `since` is not delivered, live or not
future-since-mutes-empty      HIST-21 the same, if there was no message yet
any-pong-confirms             HIST-22 any pong confirms all that was delivered
later-pong-confirms           HIST-22 a pong with a later id confirms
foreign-pong-confirms         HIST-22 a pong with the id of a message confirms, whoever sends it
resign-confirms               HIST-22 a sign with a `since` confirms up to there
client-ping-confirms          HIST-22 a ping of the client's with the id confirms
other-node-nothing            NODE-1  devices on other nodes get nothing
other-node-first-device       NODE-1  on other nodes the first device gets the message
other-node-twice              NODE-1  devices on other nodes get each message twice
other-node-numbers-rounded    NODE-1  on other nodes 14 digits of a number arrive
other-node-arrays-to-objects  NODE-1  on other nodes [] arrives as {}
other-node-old-news           NODE-1  who signs on another node gets what was sent just before
other-nodes-share             NODE-1  of the other nodes only the first that asks gets a message
other-node-from-ascii         NODE-1  on other nodes `from` has a ? for what is not ASCII
other-node-from-late          MSG-9   (nodes) on other nodes `from` is whoever has sent last
flush-deafens-nodes           STORE-8 (nodes) what other nodes send first after a flush is lost
sign-after-flush-removes      NODE-4  after a flush a sign takes the fds of other nodes for stale
other-node-again              HIST-20 (nodes) who signs again gets again what came from other nodes
pings-here-only               HIST-12 (nodes) messages from other nodes are followed by no ping
other-node-time               HIST-3  (nodes) on other nodes `time` is when the message came there
gap-here-only                 HIST-10 (nodes) only the node that sent the last message tells of a gap
started-node-clears           STORE-1 (nodes) a node that starts removes all sets
stopped-node-clears           STORE-1 (nodes) a node that is stopped removes the sets of other nodes, too
other-node-unescaped          NODE-2  on other nodes %41 in a uid is taken for A
other-node-number             NODE-2  on other nodes a uid of digits is taken for a number
other-node-pattern            NODE-2  on other nodes `to` is taken for a pattern
other-node-folded             NODE-2  on other nodes uids are compared without case
other-node-prefix             NODE-2  on other nodes users whose uid begins like `to` get the message, too
other-node-senders-devices    NODE-2  on other nodes the sender's devices get the message, too
other-node-long-late          NODE-3  on other nodes messages of more than 1 KiB come 50 ms later
other-node-swapped            NODE-3  on other nodes messages that come together are swapped
sign-takes-over               NODE-4  a sign takes the uid from its devices on other nodes
sign-removes-foreign-fds      NODE-4  a sign removes the fds of other nodes
seems-dead-now-and-then       NODE-4  a node tells the others once a second that it will live for 600 ms
dead-count-as-live            NODE-5  a node that died counts as alive for 20 s
dead-stay                     NODE-6  the traces of a node that died stay until the next sign
dead-half-gone                NODE-6  the fds' own keys stay when a node has died
cut-off-sended                NODE-7  a node that is cut off answers sended
cut-off-closes                NODE-7  a node that is cut off closes its connections
cut-off-late                  NODE-7  a node that is cut off says so after 5 s
cut-off-misses                NODE-8  a node that was cut off goes on with what comes next
cut-off-twice                 NODE-8  a node that was cut off delivers the last messages before the cut again
cut-off-reversed              NODE-8  a node that was cut off delivers what it missed with the newest first
dead-node-loses               NODE-9  a message is stored 300 ms after the reply, by the sender's node
ids-of-node                   NODE-10 each node has ids of its own
order-of-node                 NODE-10 each node delivers its own users' messages first
confirmed-here-only           NODE-11 what is confirmed is known to one node only
room-here-only                NODE-11 a full history has room again only on the node that got the pong
dups-here-only                NODE-12 retries are known to one node only
broadcast-here-only           NODE-13 a broadcast stays on its node
cut-off-misses-broadcasts     NODE-8  a node that was cut off has missed the broadcasts, not the msgs
other-nodes-share-broadcasts  NODE-13 of the other nodes only the first that asks gets a broadcast
broadcast-there-not-first     NODE-13 a node gets no broadcasts of others before it got a message of them
broadcast-there-rounded       NODE-13 on other nodes 14 digits of a number of a broadcast arrive
broadcast-there-from-ascii    NODE-13 on other nodes a broadcast's `from` has a ? for what is not ASCII
broadcast-there-short         NODE-13 broadcasts of more than 32 KiB stay on their node
broadcast-there-not-to-moved  NODE-13 who has signed as another gets no broadcasts of other nodes
cut-off-broadcasts-here       REPLY-8 (nodes) a node that is cut off gives a broadcast to its own devices
cut-off-broadcasts-later      REPLY-8 (nodes) a node that is cut off sends a broadcast when it is back
broadcast-there-late          CAST-7  (nodes) on other nodes a broadcast comes 5 ms later
broadcast-there-twice         NODE-13 a broadcast reaches other nodes' devices twice
cid-required                  COMPAT-1  a request without cid is refused
token-renamed                 COMPAT-1  the token is called "session"
msg-renamed                   COMPAT-1  msg is called "message"
body-renamed                  COMPAT-1  body is called "data" in deliveries
broadcast-invalid             COMPAT-2  a broadcast is answered as not supported and the connection stays
broadcast-served              COMPAT-2  a broadcast is answered as sended
presence                      COMPAT-3  who is online is pushed to everybody
history-undeclared-id         COMPAT-3  without history deliveries and replies have an id
history-undeclared-since      COMPAT-3  without history a `since` that is no id is refused
receipts                      COMPAT-3  the sender is told when a message has been delivered
history                       COMPAT-3  who signs gets the last message to the uid again
""")
