package provider

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Class is the kind of failure of an [Error]. The engine decides by class alone: the HTTP status of its answer,
// whether it can delete the intent of a create, and whether it repeats a revocation. Nothing is decided by the text
// of an error.
type Class int

const (
	// ClassUnknown is the zero value: a fault of the plugin, not of the vendor or the caller.
	ClassUnknown Class = iota
	// ClassInvalid means that the request or the configuration is wrong and must be changed. The vendor did
	// nothing.
	ClassInvalid
	// ClassUnauthenticated means that the vendor refused the root credential. The vendor did nothing, and
	// another attempt may lock the account.
	ClassUnauthenticated
	// ClassForbidden means that the vendor accepts the root credential and denies it this operation. The vendor
	// did nothing.
	ClassForbidden
	// ClassNotFound means that the vendor answered that the object does not exist.
	ClassNotFound
	// ClassCapacity means that the limit of live credentials is reached. The vendor did nothing.
	ClassCapacity
	// ClassRateLimited means too many requests in a period. RetryAfter is when the next one is possible, if the
	// vendor reported it. The vendor did nothing.
	ClassRateLimited
	// ClassUnavailable means that the vendor could not be reached, or reported that it cannot serve requests
	// now. The vendor did nothing.
	ClassUnavailable
	// ClassAmbiguous means that the request was sent and no answer came back that could be understood. The
	// vendor may have acted or not. The engine does not send such a create again; it looks for its marker.
	ClassAmbiguous
)

var classNames = [...]string{
	ClassUnknown:         "internal",
	ClassInvalid:         "invalid",
	ClassUnauthenticated: "unauthenticated",
	ClassForbidden:       "forbidden",
	ClassNotFound:        "not_found",
	ClassCapacity:        "capacity",
	ClassRateLimited:     "rate_limited",
	ClassUnavailable:     "unavailable",
	ClassAmbiguous:       "ambiguous",
}

// String returns the stable name of the class, which metrics and logs use.
func (c Class) String() string {
	if c < 0 || int(c) >= len(classNames) {
		return fmt.Sprintf("class(%d)", int(c))
	}
	return classNames[c]
}

// Definite reports whether an error of this class proves that the vendor created nothing. Then the intent of a
// create can be deleted.
func (c Class) Definite() bool {
	switch c {
	case ClassInvalid, ClassUnauthenticated, ClassForbidden, ClassNotFound,
		ClassCapacity, ClassRateLimited, ClassUnavailable:
		return true
	case ClassUnknown, ClassAmbiguous:
		return false
	}
	return false
}

// Error is the only type of error that a vendor package returns to the engine. No field holds a secret: a vendor's
// text is redacted before it becomes part of a Message.
type Error struct {
	// Class determines how the engine reacts.
	Class Class
	// Op is the step that failed, as the vendor names it: "ftd: custom_token".
	Op string
	// Message is one sentence in the words of this project: every reader of a credential may see it.
	Message string
	// Detail is text from outside, redacted: of the vendor's answer, a proxy or the network. It is for operators, and
	// [ReaderText] leaves it out. Optional.
	Detail string
	// Remedy is what the operator can do. Optional.
	Remedy string
	// Field is the field of the config or role that is wrong. Optional.
	Field string
	// RetryAfter is how long to wait before the next request, as the vendor asked or the driver decided. Zero if
	// neither did.
	RetryAfter time.Duration
	// Host is the "name:port" that did not answer or that no request was sent to. Optional.
	Host string
	// Err is the cause, for errors.Is and errors.As. Its text is not shown. Optional.
	Err error
}

// Error returns operation, field, message, detail and remedy as one line. It is for logs and operators; see
// [ReaderText].
func (e *Error) Error() string { return e.text(e.Detail) }

// text returns the error as one line, with this detail.
func (e *Error) text(detail string) string {
	var text strings.Builder
	if e.Op != "" {
		text.WriteString(e.Op)
		text.WriteString(": ")
	}
	if e.Field != "" {
		fmt.Fprintf(&text, "field %q: ", e.Field)
	}
	text.WriteString(e.Message)
	if detail != "" {
		text.WriteString(": ")
		text.WriteString(detail)
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&text, " (retry in %s)", e.RetryAfter.Round(time.Second))
	}
	if e.Remedy != "" {
		text.WriteString("; ")
		text.WriteString(e.Remedy)
	}
	return text.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ReaderText returns the text of an error without the details in its chain: without any text that a vendor, a proxy or
// the network has chosen. It is for the readers of credentials, who may be neither operators of the product nor trusted
// with what it answers to the root credential.
func ReaderText(err error) string {
	text := err.Error()
	var details []*Error
	collectDetails(err, &details)
	for _, failure := range details {
		text = strings.ReplaceAll(text, failure.Error(), failure.text(""))
	}
	for _, failure := range details {
		if strings.Contains(text, ": "+failure.Detail) { // the text was made before the error was changed
			return details[0].text("")
		}
	}
	return text
}

// AddDetail appends the details in the chain of another error, whose [ReaderText] is part of the message.
func (e *Error) AddDetail(err error) {
	var others []*Error
	collectDetails(err, &others)
	for _, other := range others {
		if e.Detail != "" {
			e.Detail += "; "
		}
		e.Detail += other.Detail
	}
}

// HasDetail reports whether the chain of an error has a text that [ReaderText] leaves out.
func HasDetail(err error) bool {
	var details []*Error
	collectDetails(err, &details)
	return len(details) > 0
}

// collectDetails appends the errors with a detail in a chain, the outermost first.
func collectDetails(err error, found *[]*Error) {
	if failure, ok := err.(*Error); ok && failure.Detail != "" { //nolint:errorlint // each link of the chain is visited
		*found = append(*found, failure)
	}
	switch wrapper := err.(type) { //nolint:errorlint // as above
	case interface{ Unwrap() error }:
		if next := wrapper.Unwrap(); next != nil {
			collectDetails(next, found)
		}
	case interface{ Unwrap() []error }:
		for _, next := range wrapper.Unwrap() {
			collectDetails(next, found)
		}
	}
}

// ClassOf returns the class of the first [Error] in err's chain, or ClassUnknown.
func ClassOf(err error) Class {
	if classified, ok := errors.AsType[*Error](err); ok {
		return classified.Class
	}
	return ClassUnknown
}

// RetryAfterOf returns the RetryAfter of the first [Error] in err's chain, or zero.
func RetryAfterOf(err error) time.Duration {
	if classified, ok := errors.AsType[*Error](err); ok {
		return classified.RetryAfter
	}
	return 0
}

// InvalidField returns a ClassInvalid error about one field of a config or role.
func InvalidField(field, format string, args ...any) *Error {
	return &Error{Class: ClassInvalid, Field: field, Message: fmt.Sprintf(format, args...)}
}
