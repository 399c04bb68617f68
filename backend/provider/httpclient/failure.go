package httpclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// transportError returns the error for a request without a complete answer. sent is whether a byte of it may have
// left this machine.
func (c *Client) transportError(ctx context.Context, request Request, sent bool, err error) *provider.Error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // the URL adds nothing to the step
	}
	if refused, ok := errors.AsType[*refusal](err); ok {
		return refused.invalid(request.Op)
	}
	failure := &provider.Error{Op: request.Op, Class: provider.ClassUnavailable, Host: c.host, Err: err}
	if !sent {
		if c.trustError(failure, err) {
			return failure
		}
		c.describeUnsent(ctx, failure, request, err)
		return failure
	}
	if !request.Idempotent {
		failure.Class = provider.ClassAmbiguous
	}
	c.describeLost(ctx, failure, request, err)
	return failure
}

// describeUnsent completes the error for a request of which nothing was sent.
func (c *Client) describeUnsent(ctx context.Context, failure *provider.Error, request Request, err error) {
	if cause := ctx.Err(); cause != nil {
		failure.Message = "nothing was sent: " + contextMessage(cause)
		return
	}
	failure.Remedy = fmt.Sprintf("check that %s can be reached from the Vault server, and the proxy settings of its environment", c.base.Host)
	if isTimeout(err) {
		failure.Message = fmt.Sprintf("nothing was sent: no connection within %s", c.options.RequestTimeout)
		return
	}
	failure.Message, failure.Detail = "nothing was sent: there is no connection", Redact(err.Error(), request.Secrets...)
}

// describeLost completes the error for a request that was sent and has no complete answer.
func (c *Client) describeLost(ctx context.Context, failure *provider.Error, request Request, err error) {
	const sent = "the request was sent, but "
	switch {
	case ctx.Err() != nil:
		failure.Message = sent + contextMessage(ctx.Err())
	case isTimeout(err):
		failure.Message = sent + fmt.Sprintf("no complete answer arrived within %s", c.options.RequestTimeout)
	case errors.Is(err, errTooLarge):
		failure.Message = sent + errTooLarge.Error()
	default:
		failure.Message, failure.Detail = sent+"no complete answer arrived", Redact(err.Error(), request.Secrets...)
	}
}

func contextMessage(cause error) string {
	if errors.Is(cause, context.Canceled) {
		return "the caller canceled the request"
	}
	return "the caller's deadline has passed"
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// lasting reports whether an attempt failed for a reason that will not pass.
func lasting(err error) bool {
	_, refused := errors.AsType[*refusal](err)
	return refused || errors.Is(err, errTooLarge) || isTrustError(err)
}

func isTrustError(err error) bool {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	return verification || isNotTLS(err)
}

// isNotTLS reports whether the server answered the TLS handshake with another protocol.
func isNotTLS(err error) bool {
	_, record := errors.AsType[tls.RecordHeaderError](err)
	return record || errors.Is(err, http.ErrSchemeMismatch)
}

// trustError reports whether err is about the server's certificate, or about a server that does not use TLS. If so,
// it completes failure. The class is ClassInvalid, because nothing can be sent until the operator changes the
// configuration or the server.
func (c *Client) trustError(failure *provider.Error, err error) bool {
	if !isTrustError(err) {
		return false
	}
	failure.Class = provider.ClassInvalid
	config := "config/" + c.options.Name
	const lastResort = "; tls_skip_verify=true is the last resort: the identity of the server is then not verified"

	if isNotTLS(err) {
		failure.Field = fieldAddress
		failure.Message = fmt.Sprintf("%s does not speak TLS", c.base.Host)
		failure.Remedy = "check host and port in " + config
		return true
	}
	if name, ok := errors.AsType[x509.HostnameError](err); ok {
		failure.Message = fmt.Sprintf("the certificate of %s does not carry the name %q", c.base.Host, name.Host)
		failure.Remedy = "set tls_server_name in " + config + " to a name that the certificate carries, or correct the address" + lastResort
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		failure.Message = fmt.Sprintf("the certificate of %s is signed by an authority that is not trusted", c.base.Host)
		failure.Remedy = "set ca_cert in " + config + " to the PEM certificate of that authority" + lastResort
		return true
	}
	failure.Message, failure.Detail = fmt.Sprintf("the certificate of %s is not valid", c.base.Host), Redact(err.Error())
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		failure.Remedy = "replace the server's certificate, or correct the clock of the Vault server" + lastResort
		return true
	}
	failure.Remedy = "replace the server's certificate, or set ca_cert in " + config + lastResort
	return true
}
