package provider

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/hashicorp/go-hclog"
)

// CatchPanic calls work and converts a panic into an *Error of ClassAmbiguous, since it is not known which part of
// the work was done. Every goroutine of a vendor package calls its work through CatchPanic: a panic there would end
// the plugin's process, and with it the mounts of all other vendors. The error's Err is a [*PanicError] with the stack,
// which is not shown.
func CatchPanic[T any](op string, work func() (T, error)) (result T, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = &Error{
				Class: ClassAmbiguous, Op: op, Message: "a fault in the plugin interrupted this step",
				Remedy: "report it together with the plugin's log of this time",
				Err:    &PanicError{Reason: fmt.Sprint(reason), Stack: debug.Stack()},
			}
		}
	}()
	return work()
}

// LogPanic logs the panic from which an error was created, with its reason and its stack, as an error with this message. It reports
// false, and logs nothing, for another error or nil.
func LogPanic(logger hclog.Logger, err error, message string, fields ...any) bool {
	panicked, ok := errors.AsType[*PanicError](err)
	if ok {
		logger.Error(message, append(fields, "reason", panicked.Reason, "stack", string(panicked.Stack))...)
	}
	return ok
}

// PanicError is the cause of an error that was created from a panic.
type PanicError struct {
	// Reason is the value that was passed to panic, as text.
	Reason string
	// Stack is the stack of the goroutine that panicked.
	Stack []byte
}

// Error returns the reason.
func (e *PanicError) Error() string { return "panic: " + e.Reason }
