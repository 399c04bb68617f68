package httpclient

import (
	"context"
	"errors"
	"net/http"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// admit waits for the request's turn, and asks the guard whether it may be sent then. If the error is nil, the
// caller must call done with the outcome.
func (c *Client) admit(ctx context.Context, request Request) (done func(error), err error) {
	if c.options.Guard == nil {
		return func(error) {}, nil
	}
	if err := c.waitTurn(ctx); err != nil {
		return nil, notSent(request, err)
	}
	done, err = c.options.Guard.Admit(ctx, c.host)
	if err != nil {
		return nil, notSent(request, err)
	}
	return done, nil
}

// waitTurn waits until the rate limit allows one more request. Without a deadline of the caller's, it waits for 30
// seconds, or as long as one exchange may last.
func (c *Client) waitTurn(ctx context.Context) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, max(c.options.RequestTimeout, defaultRequestTimeout))
		defer cancel()
	}
	return c.options.Guard.Pace(ctx, c.host)
}

// pace waits for the turn of a repeated attempt.
func (c *Client) pace(attempt *http.Request) error {
	if c.options.Guard == nil {
		return nil
	}
	return c.waitTurn(attempt.Context())
}

// notSent returns the guard's error with the operation of the request.
func notSent(request Request, err error) error {
	failure, ok := errors.AsType[*provider.Error](err)
	if !ok {
		return &provider.Error{Class: provider.ClassUnavailable, Op: request.Op, Message: "no request was sent: " + err.Error(), Err: err}
	}
	named := *failure
	named.Op = request.Op
	return &named
}
