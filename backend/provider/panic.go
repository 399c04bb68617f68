package provider

import (
	"fmt"
	"runtime/debug"
)

// CatchPanic calls work and turns a panic into an *Error of ClassAmbiguous, since nobody knows how far the work
// had come. Every goroutine of a vendor package runs its work in it: a panic there would end the plugin's
// process, and with it the mounts of all other vendors. The stack goes into Err and is not shown.
func CatchPanic[T any](op string, work func() (T, error)) (result T, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = &Error{
				Class: ClassAmbiguous, Op: op, Message: "a fault in the plugin ended this step",
				Remedy: "report it with the plugin's log of this moment",
				Err:    &PanicError{Reason: fmt.Sprint(reason), Stack: debug.Stack()},
			}
		}
	}()
	return work()
}

// PanicError is the cause of an error that was a panic.
type PanicError struct {
	// Reason is what was passed to panic.
	Reason string
	// Stack is the stack of the goroutine that panicked.
	Stack []byte
}

// Error returns the reason.
func (e *PanicError) Error() string { return "panic: " + e.Reason }
