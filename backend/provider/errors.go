package provider

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Class says what kind of failure an [Error] is. The engine decides by class alone: what status the
// caller sees, whether the intent of a create may be forgotten, whether a revocation is tried again.
// Nothing ever decides by the text of an error.
type Class int

const (
	// ClassUnknown is the zero value: a fault of our own, not of the vendor or the caller.
	ClassUnknown Class = iota
	// ClassInvalid means the request or the configuration is wrong and will stay wrong until somebody
	// changes it. The vendor did nothing.
	ClassInvalid
	// ClassUnauthenticated means the vendor refused the root credential. The vendor did nothing, and
	// trying again may lock the account.
	ClassUnauthenticated
	// ClassForbidden means the vendor knows the root credential and denies it this operation.
	ClassForbidden
	// ClassNotFound means the vendor answered that the thing does not exist.
	ClassNotFound
	// ClassCapacity means a limit on live credentials is reached. The vendor did nothing.
	ClassCapacity
	// ClassRateLimited means too many requests in a period; RetryAfter says when to come back, when
	// the vendor told. The vendor did nothing.
	ClassRateLimited
	// ClassUnavailable means the vendor could not be reached, or said that it cannot serve now. The
	// vendor did nothing.
	ClassUnavailable
	// ClassAmbiguous means that the request was sent and no understandable answer came back, so the
	// vendor may or may not have acted. A create is then never sent again; its marker is looked for.
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

// String returns the stable name of the class, as it appears in metrics and logs.
func (c Class) String() string {
	if c < 0 || int(c) >= len(classNames) {
		return fmt.Sprintf("class(%d)", int(c))
	}
	return classNames[c]
}

// Definite reports whether an error of this class proves that the vendor created nothing, so that
// the intent of a create can be dropped.
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

// Error is the only kind of error that crosses the contract between a vendor package and the engine.
// No member holds a secret: a vendor's text is redacted before it becomes part of a Message.
type Error struct {
	// Class decides how the engine reacts.
	Class Class
	// Op is the step that failed, in the vendor's words: "ftd: custom_token".
	Op string
	// Message is one sentence for the operator.
	Message string
	// Remedy is what the operator can do about it. Optional.
	Remedy string
	// Field names the field of config or role that is at fault. Optional.
	Field string
	// RetryAfter is how long the vendor asked to be left alone. Zero when it did not say.
	RetryAfter time.Duration
	// Err is the cause, for errors.Is and errors.As; its text is not shown. Optional.
	Err error
}

// Error renders operation, message and remedy.
func (e *Error) Error() string {
	var text strings.Builder
	if e.Op != "" {
		text.WriteString(e.Op)
		text.WriteString(": ")
	}
	if e.Field != "" {
		fmt.Fprintf(&text, "field %q: ", e.Field)
	}
	text.WriteString(e.Message)
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

// ClassOf returns the class of the first [Error] in err's chain, or ClassUnknown.
func ClassOf(err error) Class {
	if classified, ok := errors.AsType[*Error](err); ok {
		return classified.Class
	}
	return ClassUnknown
}

// RetryAfterOf returns how long the vendor asked to be left alone, or zero.
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
