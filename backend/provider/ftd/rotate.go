package ftd

import (
	"context"
	"errors"
	"unicode"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// ProposeRoot implements [provider.RootRotator]. It proposes a new password for the same user, because the device has
// no second user that could replace it. See newPassword.
func (c *connection) ProposeRoot(password func(policy string) (string, error)) (map[string]any, error) {
	next, err := c.newPassword(password)
	if _, classified := errors.AsType[*provider.Error](err); err != nil && !classified {
		err = &provider.Error{Op: opChangeUser, Message: "no password could be generated", Detail: httpclient.Redact(err.Error()), Err: err}
	}
	if err != nil {
		return nil, err
	}
	return map[string]any{fieldPassword: next}, nil
}

// maxPasswordTries is how often newPassword asks for another password. One in a hundred random passwords has a repeated
// run, so more tries mean that the generator does not work.
const maxPasswordTries = 20

// newPassword generates a password by the operator's policy, or one that meets common rules if there is no policy: the
// device's rules are not documented.
func (c *connection) newPassword(generate func(policy string) (string, error)) (string, error) {
	for range maxPasswordTries {
		next, err := generate(c.passwordPolicy)
		if err != nil || c.passwordPolicy != "" || meetsCommonRules(next) {
			return next, err
		}
	}
	return "", &provider.Error{
		Op: opChangeUser, Message: "no generated password has letters of both cases, a digit and another character without a repeated run",
		Remedy: "set " + fieldPasswordPolicy + " in config/" + c.api.config,
	}
}

// meetsCommonRules reports whether a password has upper and lower case, a digit and another character, and none of them
// three times in a row.
func meetsCommonRules(password string) bool {
	var upper, lower, digit, special bool
	run, last := 0, rune(0)
	for _, character := range password {
		switch {
		case unicode.IsUpper(character):
			upper = true
		case unicode.IsLower(character):
			lower = true
		case unicode.IsDigit(character):
			digit = true
		default:
			special = true
		}
		if run++; character != last {
			run, last = 1, character
		}
		if run == 3 {
			return false
		}
	}
	return upper && lower && digit && special
}

// RotateRoot implements [provider.RootRotator]. It changes the user's password at the device. The marker is not used,
// since the device creates no object. If the answer is lost, a login with the proposed password shows whether the
// password has changed.
func (c *connection) RotateRoot(ctx context.Context, _ string, proposed map[string]any) (*provider.RotatedRoot, error) {
	next, _ := proposed[fieldPassword].(string)
	if next == "" {
		return nil, provider.InvalidField(fieldPassword, "no new password is proposed")
	}
	var user userObject
	var loginToken string
	refusal, err := c.withLogin(ctx, func(access string) (err error) {
		loginToken = access
		user, err = c.api.rootUser(ctx, access)
		return err
	})
	if err == nil {
		err = refusal
	}
	if err != nil {
		return nil, asUnavailable(err) // the change has not started, even if the outcome of a login is not known
	}
	if err := c.api.changePassword(ctx, loginToken, user, next); err != nil {
		return nil, c.resolveChangeError(ctx, loginToken, err)
	}
	c.endLogin(ctx)
	return &provider.RotatedRoot{
		Fields:                 proposed,
		InvalidatesCredentials: true,
		Warnings: []string{
			"it is not documented whether leased tokens survive a change of the password; applications may have to read new ones",
			"it is not documented whether the device keeps the new password after a restart before its next deployment",
		},
	}, nil
}

// resolveChangeError sets the class of a change that the device answered as if the engine's login did not work. The
// login worked just before, and the change itself ends it. So unless the login still works, the device may have
// changed the password and reported the end of the login. For this reason RotateRoot does not use
// [connection.withLogin] for the change: withLogin would repeat it with a new login.
func (c *connection) resolveChangeError(ctx context.Context, access string, err error) error {
	failure, ok := errors.AsType[*provider.Error](err)
	if !ok || failure.Class != provider.ClassUnauthenticated {
		return err
	}
	if accepted, probeErr := c.api.accepts(ctx, access); probeErr == nil && accepted {
		return withRemedy(asForbidden(err), "give the user in config/"+c.api.config+
			" a role that may do this, or change the password on the device and write it to config/"+c.api.config)
	}
	failure.Class = provider.ClassAmbiguous
	failure.Message += "; the device ended the engine's login during the change, so the password may have changed"
	return failure
}

// endLogin ends the login that changed the password, so that it does not use one of the device's sessions. A Cisco
// client observed that the change ends the login; endLogin checks that at the device without another login. The
// password has changed, so endLogin returns no error and continues if the caller cancels. If it fails, the login
// stays stored, and the next connection uses it or ends it.
func (c *connection) endLogin(ctx context.Context) {
	ctx, cancel := provider.CleanupContext(ctx, c.api.http.RequestTimeout())
	defer cancel()
	login, err := c.sessions.load(ctx)
	if err == nil && login != nil {
		err = c.sessions.discard(ctx, login)
	}
	if err != nil {
		c.logger.Warn("the login that changed the password could not be ended; it may use one of the device's sessions until it expires",
			"error", err)
	}
}
