package httpclient

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// maxRetryAfter is the longest accepted Retry-After, so that a nonsensical header does not stop a config for
// years.
const maxRetryAfter = 24 * time.Hour

// Response is a complete answer with any status.
type Response struct {
	// Status is the HTTP status code.
	Status int
	// Header is the header of the answer.
	Header http.Header
	// Body is the complete body, at most MaxBody bytes.
	Body []byte
	// ServerTime is the time in the Date header, in whole seconds of the server's clock. Zero without one.
	ServerTime time.Time
	// SentAt is when this attempt began, by the client's clock. No byte was sent before, so a lifetime that is
	// counted from SentAt never ends too late.
	SentAt time.Time

	request Request
	now     time.Time
}

// OK reports whether the status is a 2xx.
func (r *Response) OK() bool { return r.Status >= 200 && r.Status < 300 }

// IsHTML reports whether the body is an HTML page. Such an answer does not come from the API but, for example, from the
// login page of a proxy, whatever its status is.
func (r *Response) IsHTML() bool { return isHTML(string(r.Body)) }

// Decode decodes the body, one JSON value, into target. It accepts unknown members and rejects text after the value.
// The error is ClassAmbiguous, or ClassUnavailable for an idempotent request: the vendor has answered, but it is not
// known what it did. The error never quotes the body, which may hold a token.
func (r *Response) Decode(target any) error {
	decoder := json.NewDecoder(bytes.NewReader(r.Body))
	err := decoder.Decode(target)
	if err == nil {
		if _, end := decoder.Token(); errors.Is(end, io.EOF) {
			return nil
		}
	}
	what := "something that is not the expected JSON"
	switch {
	case len(bytes.TrimSpace(r.Body)) == 0:
		what = "an empty body"
	case isHTML(string(r.Body)):
		what = htmlSummary
	}
	return r.UnexpectedResponse("the vendor answered %s with %s", r.statusText(), what)
}

// UnexpectedResponse returns the error for an answer with a successful status and unexpected content. Its class is
// ClassAmbiguous, or ClassUnavailable for an idempotent request. The message must not quote the body.
func (r *Response) UnexpectedResponse(format string, args ...any) *provider.Error {
	class := provider.ClassAmbiguous
	if r.request.Idempotent {
		class = provider.ClassUnavailable
	}
	return &provider.Error{
		Class:   class,
		Op:      r.request.Op,
		Message: fmt.Sprintf(format, args...),
		Remedy:  "check that the address is the vendor's API and not a proxy or a login page",
	}
}

// StatusError returns the error for an answer that is not a 2xx, by the usual meaning of its status. vendorText is the
// vendor's message, which the caller has read from the body. If it is empty, StatusError uses the body itself. Redacted,
// either is the error's Detail. The caller corrects the class where the vendor gives the status another meaning, and adds the remedy.
//
// A proxy in front of the product also answers 408 and 5xx, and it does so after the product has acted too. So these
// statuses are ClassAmbiguous, or ClassUnavailable for an idempotent request. For an answer in the product's own form
// the driver calls [Response.ProductError] instead.
func (r *Response) StatusError(vendorText string) *provider.Error {
	failure := &provider.Error{
		Class:      r.class(),
		Op:         r.request.Op,
		RetryAfter: r.RetryAfter(),
		Err:        statusCause(r.Status),
	}
	if r.Status >= 300 && r.Status < 400 {
		failure.Message = "the vendor answered " + r.statusText() + ", and redirects are not followed"
		failure.Detail = r.redirectText()
		failure.Remedy = "check the address"
		return failure
	}
	if strings.TrimSpace(vendorText) == "" {
		vendorText = string(r.Body)
	}
	failure.Message = "the vendor answered " + r.statusText()
	failure.Detail = r.Redact(vendorText)
	return failure
}

// ProductError is [Response.StatusError] for an answer whose body has the product's own documented form, so that it does
// not come from a proxy in front of the product. Then 408 and 503 prove that the product did not serve the request, and
// the class is ClassUnavailable. All other statuses have the class that StatusError gives them: 500 means that the product
// failed in the middle of the request, and a product does not answer 502 or 504 for itself.
func (r *Response) ProductError(vendorText string) *provider.Error {
	failure := r.StatusError(vendorText)
	if r.Status == http.StatusServiceUnavailable || r.Status == http.StatusRequestTimeout {
		failure.Class = provider.ClassUnavailable
	}
	return failure
}

// HasMembers reports whether the body is a JSON object with exactly these members, none of which is null, false, zero
// or empty. A driver uses it to recognize the documented form of the product's errors: a gateway's errors often have
// members with the same names, and others.
func (r *Response) HasMembers(names ...string) bool {
	var members map[string]json.RawMessage
	if json.Unmarshal(r.Body, &members) != nil || len(members) != len(names) {
		return false
	}
	for _, name := range names {
		switch strings.TrimSpace(string(members[name])) {
		case "", "null", "false", "0", `""`, "{}", "[]":
			return false
		}
	}
	return true
}

// statusCause is the cause of an error from StatusError: the status, for [StatusOf].
type statusCause int

// Error implements error.
func (s statusCause) Error() string { return "status " + strconv.Itoa(int(s)) }

// StatusOf returns the HTTP status of an error from [Response.StatusError], or zero for any other error.
func StatusOf(err error) int {
	status, _ := errors.AsType[statusCause](err)
	return int(status)
}

// Redact prepares a text of the vendor for logs and errors, without the secrets of the request. See [Redact].
func (r *Response) Redact(text string) string { return Redact(text, r.request.Secrets...) }

// RetryAfter returns how long the vendor asked to wait before the next request: the Retry-After header, in seconds or
// as a date, which is compared with the answer's own Date header. Zero without one, at most 24 hours.
func (r *Response) RetryAfter() time.Duration { return retryAfter(r.Header, r.now) }

// class returns the class of the usual meaning of the status.
func (r *Response) class() provider.Class {
	// After a server error it is not known whether the server created something, unless the status means that it
	// did not process the request at all. 503 does not mean that: a proxy sends it when the connection to the product
	// breaks after the product has received the request.
	unsure := provider.ClassAmbiguous
	if r.request.Idempotent {
		unsure = provider.ClassUnavailable
	}
	switch status := r.Status; {
	case status >= 300 && status < 400:
		return provider.ClassInvalid
	case status == http.StatusUnauthorized:
		return provider.ClassUnauthenticated
	case status == http.StatusForbidden:
		return provider.ClassForbidden
	case status == http.StatusNotFound, status == http.StatusGone:
		return provider.ClassNotFound
	case status == http.StatusTooManyRequests:
		return provider.ClassRateLimited
	case status == http.StatusRequestTimeout:
		return unsure
	case status == http.StatusLocked, status == http.StatusTooEarly, status == http.StatusProxyAuthRequired:
		return provider.ClassUnavailable
	case status >= 400 && status < 500:
		return provider.ClassInvalid
	case status == http.StatusNotImplemented, status == http.StatusHTTPVersionNotSupported:
		return provider.ClassUnavailable
	}
	return unsure
}

func (r *Response) statusText() string {
	if text := http.StatusText(r.Status); text != "" {
		return strconv.Itoa(r.Status) + " " + text
	}
	return strconv.Itoa(r.Status)
}

// redirectText returns the host that a redirect points to, and no other part of the URL, which may contain secrets of
// the request.
func (r *Response) redirectText() string {
	location, err := url.Parse(r.Header.Get("Location"))
	if err != nil || location.Host == "" {
		return ""
	}
	return "it points to " + r.Redact(location.Host)
}

func retryAfter(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if value == "" {
		return 0
	}
	var wait time.Duration
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		if seconds > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		if date, err := http.ParseTime(header.Get("Date")); err == nil {
			now = date
		}
		wait = at.Sub(now)
	}
	return max(0, min(wait, maxRetryAfter))
}
