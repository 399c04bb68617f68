package ftd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

const (
	// userType is the documented type of a user object.
	userType = "user"

	// managementService is the member of userServiceTypes of those who log in to the device itself. The others
	// use its VPN, and one of them may have the same name.
	managementService = "MGMT"
)

// userObject is a user as the device lists it, with all its members: a PUT replaces the whole object, so what
// is not sent back would be lost.
type userObject map[string]json.RawMessage

// text returns a member that is text, or "".
func (u userObject) text(name string) string {
	var text string
	if json.Unmarshal(u[name], &text) != nil {
		return ""
	}
	return text
}

// managesDevice reports whether the user may log in to the device itself, as far as the object tells.
func (u userObject) managesDevice() bool {
	var services []string
	if json.Unmarshal(u["userServiceTypes"], &services) != nil || len(services) == 0 {
		return true
	}
	return slices.Contains(services, managementService)
}

// rootUser reads the object of the user that we log in as: GET /object/users, by name. The name is compared
// here too, because how exactly the device's filter compares is not documented.
func (c *client) rootUser(ctx context.Context, access string) (userObject, error) {
	var answer struct {
		Items []userObject `json:"items"`
	}
	query := url.Values{"limit": {strconv.Itoa(pageSize)}, "filter": {"name:" + c.username}}
	if err := c.listUsers(ctx, access, query, &answer); err != nil {
		return nil, err
	}
	named := slices.DeleteFunc(answer.Items, func(user userObject) bool {
		return user.text("name") != c.username || !user.managesDevice()
	})
	if len(named) != 1 {
		failure := &provider.Error{
			Class: provider.ClassInvalid, Op: opUsers,
			Message: "the device does not list the user among its own, so its password is probably kept by an external server",
			Remedy:  "change the password there, and write it to config/" + c.config,
		}
		if len(named) > 1 {
			failure.Message = fmt.Sprintf("the device lists %d users of this name, so whose password to change is not known", len(named))
			failure.Remedy = "change the password on the device, and write it to config/" + c.config
		}
		return nil, failure
	}
	user := named[0]
	// The last two cannot be a segment of a path.
	if id := user.text("id"); user.text("type") != userType || id == "" || id == "." || id == ".." {
		return nil, &provider.Error{
			Class: provider.ClassUnavailable, Op: opUsers, Message: "the device's answer about the user cannot be understood",
			Remedy: "change the password on the device, and write it to config/" + c.config,
		}
	}
	return user, nil
}

// changePassword gives the user a new password: PUT /object/users/{id}, with the object as it was read. It is
// sent once: after a change, the present password in it is a wrong one.
func (c *client) changePassword(ctx context.Context, access string, user userObject, next string) error {
	body := make(map[string]any, len(user))
	for name, value := range user {
		body[name] = value
	}
	delete(body, "links") // the device's own, about where the object is
	body["password"], body["newPassword"] = c.password, next
	id := user.text("id")
	response, err := c.http.Do(ctx, httpclient.Request{
		Op:      opChangeUser,
		Method:  http.MethodPut,
		Path:    c.base() + "/object/users/" + url.PathEscape(id),
		Header:  http.Header{"Authorization": {tokenType + " " + access}},
		JSON:    body,
		Secrets: []string{c.password, next, access},
	})
	if err != nil {
		return err
	}
	if !response.OK() {
		failure := c.refusal(response)
		if failure.Class == provider.ClassInvalid && response.Status >= http.StatusBadRequest {
			failure.Remedy = "the password was not changed; change it on the device, and write it to config/" + c.config
		}
		if response.Status == http.StatusUnprocessableEntity {
			failure.Remedy = "the password was not changed; if it breaks a rule of the device, set password_policy in config/" + c.config +
				" to a Vault password policy that keeps it; of a high-availability pair, only the active unit changes users; " +
				"if the user was just changed by somebody else, try again"
		}
		return failure
	}
	// Documented: the answer is the user. A proxy's login page, which is a 200 too, has changed nothing.
	var changed userObject
	if err := response.Decode(&changed); err != nil {
		return err
	}
	if changed.text("id") != id || changed.text("type") != userType {
		return response.UnexpectedResponse("the device's answer is not the user whose password was to be changed")
	}
	return nil
}

// ProposeRoot makes the next password. The user stays: the device has no other that could take its place.
func (c *connection) ProposeRoot(password func(policy string) (string, error)) (map[string]any, error) {
	next, err := password(c.passwordPolicy)
	if _, classified := errors.AsType[*provider.Error](err); err != nil && !classified {
		err = &provider.Error{Op: opChangeUser, Message: "no password could be made: " + httpclient.Redact(err.Error()), Err: err}
	}
	if err != nil {
		return nil, err
	}
	return map[string]any{fieldPassword: next}, nil
}

// RotateRoot changes the user's password at the device. There is nothing to carry the marker: no object is
// made, and after a lost answer it is a login with the proposed password that tells.
func (c *connection) RotateRoot(ctx context.Context, _ string, proposed map[string]any) (*provider.RotatedRoot, error) {
	next, _ := proposed[fieldPassword].(string)
	if next == "" {
		return nil, provider.InvalidField(fieldPassword, "no new password is proposed")
	}
	var user userObject
	var authority string
	refusal, err := c.manage(ctx, func(access string) (err error) {
		authority = access
		user, err = c.api.rootUser(ctx, access)
		return err
	})
	if err == nil {
		err = refusal
	}
	if err != nil {
		return nil, asForbidden(err) // nothing was changed yet, whatever became of a login
	}
	if err := c.api.changePassword(ctx, authority, user, next); err != nil {
		return nil, c.refusedChange(ctx, authority, err)
	}
	c.forgetLogin(ctx)
	return &provider.RotatedRoot{
		Fields:                 proposed,
		InvalidatesCredentials: true,
		Warnings: []string{
			"whether leased tokens outlive a change of the password is not documented; applications may have to read new ones",
			"whether the device keeps the new password over a restart before its next deployment is not documented",
		},
	}, nil
}

// refusedChange looks into an answer that our login is not accepted. It was, a moment before; and the change
// itself ends it. So unless it still works, the device may have changed the password and told us about the end
// of the login. That is why [connection.manage], which would ask again with a new login, does not make this call.
func (c *connection) refusedChange(ctx context.Context, access string, err error) error {
	failure, ok := errors.AsType[*provider.Error](err)
	if !ok || failure.Class != provider.ClassUnauthenticated {
		return err
	}
	if alive, probeErr := c.api.works(ctx, access); probeErr == nil && alive {
		return withRemedy(keepRequestError(err), "give the user in config/"+c.api.config+
			" a role that may do this, or change the password on the device and write it to config/"+c.api.config)
	}
	failure.Class = provider.ClassAmbiguous
	failure.Message += "; the device ended our login meanwhile, with the change perhaps"
	return failure
}

// forgetLogin gives up the login that changed the password, so that it takes none of the device's sessions. A
// Cisco client found that the change ends it; here the device is asked, and no other login is made for that. The
// password is changed by now, so a failure is not the caller's, nor does the caller's giving up stop this. After a
// failure the login stays stored, and the connection that is opened next uses it or ends it.
func (c *connection) forgetLogin(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.api.http.RequestTimeout())
	defer cancel()
	held, err := c.sessions.load(ctx)
	if err == nil && held != nil {
		err = c.sessions.discard(ctx, held)
	}
	if err != nil {
		c.logger.Warn("the login that changed the password could not be ended; it may hold one of the device's sessions until it expires",
			"error", err)
	}
}
