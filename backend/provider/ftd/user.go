package ftd

import (
	"context"
	"encoding/json"
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

	// managementService is the member of userServiceTypes of users that log in to the device itself. Other users use
	// its VPN, and may have the same name.
	managementService = "MGMT"
)

// userObject is a user with all members that the device returns. A PUT replaces the whole object, so a member that is
// not sent back would be lost.
type userObject map[string]json.RawMessage

// text returns the value of a text member, or "".
func (u userObject) text(name string) string {
	var text string
	if json.Unmarshal(u[name], &text) != nil {
		return ""
	}
	return text
}

// managesDevice reports whether the user may log in to the device itself. It is true if the object does not state it.
func (u userObject) managesDevice() bool {
	var services []string
	if json.Unmarshal(u["userServiceTypes"], &services) != nil || len(services) == 0 {
		return true
	}
	return slices.Contains(services, managementService)
}

// rootUser reads the object of the engine's user by its name, which must be a local user: GET /object/users. It compares the name itself, because
// it is not documented how exactly the device's filter compares names.
func (c *client) rootUser(ctx context.Context, access string) (userObject, error) {
	var answer struct {
		Items []userObject `json:"items"`
	}
	query := url.Values{"limit": {strconv.Itoa(pageSize)}, "filter": {"name:" + c.username}}
	if err := c.listUsers(ctx, access, query, &answer); err != nil {
		return nil, err
	}
	matches := slices.DeleteFunc(answer.Items, func(user userObject) bool {
		return user.text("name") != c.username || !user.managesDevice()
	})
	switch {
	case len(matches) == 0:
		return nil, &provider.Error{
			Class: provider.ClassInvalid, Op: opUsers,
			Message: "the device does not list this user as one of its own, so an external server probably keeps the password",
			Remedy:  "change the password at that server, and write it to config/" + c.config,
		}
	case len(matches) > 1:
		return nil, &provider.Error{
			Class: provider.ClassInvalid, Op: opUsers,
			Message: fmt.Sprintf("the device lists %d users with this name, so it is not known which password to change", len(matches)),
			Remedy:  "change the password on the device, and write it to config/" + c.config,
		}
	}
	user := matches[0]
	// "." and ".." cannot be one segment of a path.
	if id := user.text("id"); user.text("type") != userType || id == "" || id == "." || id == ".." {
		return nil, &provider.Error{
			Class: provider.ClassUnavailable, Op: opUsers, Message: "the device's answer about the user cannot be read",
			Remedy: "change the password on the device, and write it to config/" + c.config,
		}
	}
	return user, c.requireLocal(ctx, access, user)
}

// changePassword gives the user a new password: PUT /object/users/{id}, with the object as it was read. The request
// is sent only once: after a change, the current password in it is wrong.
func (c *client) changePassword(ctx context.Context, access string, user userObject, next string) error {
	body := make(map[string]any, len(user))
	for name, value := range user {
		body[name] = value
	}
	delete(body, "links") // the device writes this member itself
	body["password"], body["newPassword"] = c.password, next
	id := user.text("id")
	response, err := c.http.Do(ctx, httpclient.Request{
		Op:      opChangeUser,
		Method:  http.MethodPut,
		Path:    c.base() + "/object/users/" + url.PathEscape(id),
		Header:  authorization(access),
		JSON:    body,
		Secrets: []string{c.password, next, access},
	})
	if err != nil {
		return err
	}
	if !response.OK() {
		return c.changeError(response)
	}
	// Documented: the answer is the user. The login page of a proxy, which also has status 200, changed nothing.
	var changed userObject
	if err := response.Decode(&changed); err != nil {
		return err
	}
	if changed.text("id") != id || changed.text("type") != userType {
		return response.UnexpectedResponse("the device's answer is not the user whose password had to change")
	}
	return nil
}

// changeError turns the answer to a refused change of the password into an error.
func (c *client) changeError(response *httpclient.Response) *provider.Error {
	failure := c.statusError(response)
	if failure.Class == provider.ClassInvalid && response.Status >= http.StatusBadRequest {
		failure.Remedy = "the password was not changed; change it on the device, and write it to config/" + c.config
	}
	if response.Status == http.StatusUnprocessableEntity {
		failure.Remedy = "the password was not changed; if it violates a rule of the device, set password_policy in config/" + c.config +
			" to a Vault password policy that follows the rule; in a high-availability pair, only the active unit changes users; " +
			"if another client has just changed the user, try again"
	}
	return failure
}
