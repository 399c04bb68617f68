package ftd

import (
	"context"
	"net/http"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// withLogin runs call with the access token of the engine's login. When the device refuses the call, withLogin
// checks whether the login still works: a sixth session may have evicted it. If the login has ended, withLogin
// logs in again and repeats the call once. The repetition is safe, because the device did nothing for a call that
// it refused.
//
// A refusal is returned apart from all other errors. It concerns the content of the call: the engine's login works
// under this API version. A refused login is returned as err, not as a refusal.
func (c *connection) withLogin(ctx context.Context, call func(access string) error) (refusal, err error) {
	login, isNew, err := c.sessions.get(ctx)
	if err != nil {
		return nil, err
	}
	err = call(login.accessToken)
	if !refused(err) {
		c.dropEndedLogin(ctx, login, err)
		return nil, err
	}
	accepted, probeErr := c.api.accepts(ctx, login.accessToken)
	switch {
	case probeErr != nil:
		return nil, probeErr
	case accepted:
		return asForbidden(err), nil
	}
	c.sessions.invalidate(login)
	if isNew {
		return nil, &provider.Error{
			Class: provider.ClassUnavailable, Op: opLogin,
			Message: "the device ended the engine's login right after it was made",
			Remedy:  "all five sessions of the device may be in use; lower max_credentials in config/" + c.api.config,
		}
	}
	login, _, err = c.sessions.get(ctx)
	if err != nil {
		return nil, err
	}
	err = call(login.accessToken)
	if !refused(err) {
		return nil, err
	}
	return asForbidden(err), nil
}

// dropEndedLogin drops the login after a 408 that may be a proxy's timeout or the device's answer to an ended login. The
// call is not repeated, because the device may have served it. If the login has ended, the next call logs in again.
func (c *connection) dropEndedLogin(ctx context.Context, login *session, err error) {
	if provider.ClassOf(err) != provider.ClassAmbiguous || !isTimeoutStatus(err) {
		return
	}
	if accepted, probeErr := c.api.accepts(ctx, login.accessToken); probeErr == nil && !accepted {
		c.sessions.invalidate(login)
	}
}

// verifyLogin returns nil if the engine's login works. It logs in again if the login has ended.
func (c *connection) verifyLogin(ctx context.Context) error {
	refusal, err := c.withLogin(ctx, func(access string) error {
		_, err := c.api.users(ctx, access, "")
		if httpclient.StatusOf(err) == http.StatusForbidden {
			return nil // the device knows the user, so the login works
		}
		return err
	})
	if refusal != nil {
		return &provider.Error{
			Class: provider.ClassUnavailable, Op: opUsers, Message: "the device does not accept the engine's login either", Err: refusal,
		}
	}
	return err
}
