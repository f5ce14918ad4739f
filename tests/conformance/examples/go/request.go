package main

import (
	"encoding/json"
	"strconv"
	"strings"
)

// members are those of a request: the JSON text of each value, of the last one if the name is
// repeated [JSON-5]. The text, because 1001.0 is no uid [UID-2], and so that the numbers of a body
// stay as they were [BODY-2].
type members map[string]json.RawMessage

// parseMembers reads a text message that is UTF-8; ok is false if it is not exactly one JSON
// object, or has to be refused.
//
// encoding/json is as strict as RFC 8259, once it is given UTF-8; but it takes half a surrogate
// pair for U+FFFD, it takes null for an empty map, and its limit of nesting is 10,000.
func parseMembers(text []byte) (m members, ok bool) {
	if !json.Valid(text) || hasLoneSurrogate(text) || nesting(text) > nestingMax {
		return nil, false // [JSON-2] [JSON-3] [JSON-7]
	}
	if err := json.Unmarshal(text, &m); err != nil || m == nil {
		return nil, false // an array, or a plain value
	}
	return m, true
}

// hasLoneSurrogate says whether some \u escape of a JSON text is half of a surrogate pair.
func hasLoneSurrogate(text []byte) bool {
	high := false // the escape right before this place is the first half of a pair
	for i := 0; i < len(text); {
		if text[i] != '\\' || text[i+1] != 'u' {
			if high {
				return true
			}
			i++
			if text[i-1] == '\\' {
				i++ // what it escapes, which may be another backslash
			}
			continue
		}
		unit, _ := strconv.ParseUint(string(text[i+2:i+6]), 16, 16)
		low := unit >= 0xDC00 && unit <= 0xDFFF
		if high != low {
			return true
		}
		high = unit >= 0xD800 && unit <= 0xDBFF
		i += 6
	}
	return false // high is false here: a string ends with a quotation mark
}

// nesting counts the levels of a JSON text, the outermost being the first.
func nesting(text []byte) int {
	depth, deepest, inString := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			inString = !inString
		case inString && c == '\\':
			i++
		case !inString && (c == '{' || c == '['):
			depth++
		case !inString && (c == '}' || c == ']'):
			depth--
		}
		if depth > deepest {
			deepest = depth
		}
	}
	return deepest
}

// text returns the member if it is a string.
func (m members) text(name string) (s string, ok bool) {
	value := m[name]
	if len(value) == 0 || value[0] != '"' {
		return "", false
	}
	return s, json.Unmarshal(value, &s) == nil
}

// uid returns the uid in a member, as a string; ok is false if it is missing or invalid [UID-3].
func (m members) uid(name string) (uid string, ok bool) {
	if uid, ok := m.text(name); ok {
		isControl := func(r rune) bool { return r < 0x20 || r == 0x7F }
		return uid, len(uid) >= 1 && len(uid) <= uidSizeMax && strings.IndexFunc(uid, isControl) < 0
	}
	// What is left must be an integer without fraction and exponent [UID-2]; ParseInt refuses
	// everything else.
	const largest = 1<<53 - 1
	n, err := strconv.ParseInt(string(m[name]), 10, 64)
	if err != nil || n < -largest || n > largest {
		return "", false
	}
	return strconv.FormatInt(n, 10), true
}

// cid returns the cid; nil if there is none. ok is false if it is invalid [CID-3].
func (m members) cid() (cid *string, ok bool) {
	if _, present := m["cid"]; !present {
		return nil, true
	}
	s, ok := m.text("cid")
	if !ok || len(s) < 1 || len(s) > cidSizeMax {
		return nil, false
	}
	return &s, true
}
