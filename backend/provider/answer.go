package provider

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Answer describes an answer of a vendor without its content: what a person needs to compare two products, and
// nothing that is secret.
type Answer struct {
	// Op is the step, as in [Error.Op]. Method is the HTTP method.
	Op, Method string
	// Status is the HTTP status.
	Status int
	// MediaType is the media type of the body, or "" without one.
	MediaType string
	// Members are the members of a JSON body by their path, such as "result.0.status.code". The value is the kind of
	// the member, such as "string" or "jwt(exp,sub)". Numbers that are a lifetime or a code are shown.
	Members map[string]string
}

// Is reports whether the answer belongs to an operation. op is the end of Op, such as "custom_token".
func (a Answer) Is(op string) bool { return a.Op == op || strings.HasSuffix(a.Op, ": "+op) }

// String returns the answer in one line: step, method, status, media type and members.
func (a Answer) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s: %s %d", a.Op, a.Method, a.Status)
	if a.MediaType != "" {
		text.WriteString(" " + a.MediaType)
	}
	for _, name := range slices.Sorted(maps.Keys(a.Members)) {
		text.WriteString(" " + name + "=" + a.Members[name])
	}
	return text.String()
}

// AnswerLog collects the answers to the requests of a context. The zero value is ready to use. It is safe for
// concurrent use.
type AnswerLog struct {
	mu      sync.Mutex
	answers []Answer
}

// maxAnswers bounds what one log collects.
const maxAnswers = 50

// Add adds an answer.
func (l *AnswerLog) Add(answer Answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.answers) < maxAnswers {
		l.answers = append(l.answers, answer)
	}
}

// Answers returns the answers so far.
func (l *AnswerLog) Answers() []Answer {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.answers)
}

type answerLogKey struct{}

// WithAnswerLog returns a context whose requests are described in log.
func WithAnswerLog(ctx context.Context, log *AnswerLog) context.Context {
	return context.WithValue(ctx, answerLogKey{}, log)
}

// AnswerLogOf returns the log of a context, or nil.
func AnswerLogOf(ctx context.Context) *AnswerLog {
	log, _ := ctx.Value(answerLogKey{}).(*AnswerLog)
	return log
}

// ObserveStatus returns a [Fact.Observe] that returns the HTTP status of the last answer to an operation.
func ObserveStatus(op string) func(Observation) string {
	return func(seen Observation) string {
		answer, ok := seen.Last(op)
		if !ok {
			return ""
		}
		return strconv.Itoa(answer.Status)
	}
}

// ObserveMember returns a [Fact.Observe] that returns a member of the last answer to an operation, or "absent".
func ObserveMember(op, member string) func(Observation) string {
	return func(seen Observation) string {
		answer, ok := seen.Last(op)
		if !ok {
			return ""
		}
		if value, ok := answer.Members[member]; ok {
			return value
		}
		return "absent"
	}
}

// ObserveLifetime is a [Fact.Observe] that returns "as requested", or the lifetime of a credential.
func ObserveLifetime(seen Observation) string {
	switch difference := (seen.Granted - seen.Requested).Abs(); {
	case seen.Granted == 0:
		return ""
	case difference <= 2*time.Second:
		return "as requested"
	}
	return seen.Granted.String()
}

// ObserveInspected is a [Fact.Observe] that returns a value of [Inspector].
func ObserveInspected(name string) func(Observation) string {
	return func(seen Observation) string { return seen.Inspected[name] }
}

// ObserveBody is a [Fact.Observe] that returns the media type and the names of the members of the last answer to an
// operation, or "no body".
func ObserveBody(op string) func(Observation) string {
	return func(seen Observation) string {
		answer, ok := seen.Last(op)
		if !ok {
			return ""
		}
		if answer.MediaType == "" && answer.Members["body"] == "" {
			return "no body"
		}
		names := slices.DeleteFunc(slices.Sorted(maps.Keys(answer.Members)), func(name string) bool { return strings.Contains(name, "-") })
		return answer.MediaType + " with " + strings.Join(names, ", ")
	}
}
