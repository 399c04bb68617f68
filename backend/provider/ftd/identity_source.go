package ftd

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// localSourceID is the identitySourceId of local users. It is the same on every device: two published packages of Cisco
// contain it. An external user is a user object too, and has the id of an external server.
const localSourceID = "e3e74c32-3c03-11e8-983b-95c21a1b6da9"

// isLocalSource reports whether an identitySourceId is that of the device's local users: the known one, or one that the
// device lists as local. It is false if the device does not list local sources.
func (c *client) isLocalSource(ctx context.Context, access, id string) (bool, error) {
	if id == localSourceID || id == "" {
		return id == localSourceID, nil
	}
	response, err := c.http.Do(ctx, httpclient.Request{
		Op:         opSources,
		Path:       c.base() + "/object/localidentitysources",
		Query:      url.Values{"limit": {strconv.Itoa(pageSize)}},
		Header:     authorization(access),
		Idempotent: true,
		Secrets:    []string{c.password, access},
	})
	if err != nil {
		return false, err
	}
	switch response.Status {
	case http.StatusNotFound, http.StatusForbidden, http.StatusUnprocessableEntity:
		return false, nil
	}
	if !response.OK() {
		return false, c.statusError(response)
	}
	var answer struct {
		Items []struct {
			ID string `json:"id"`
		} `json:"items"`
	}
	if err := response.Decode(&answer); err != nil {
		return false, err
	}
	for _, source := range answer.Items {
		if source.ID == id {
			return true, nil
		}
	}
	return false, nil
}

// requireLocal returns an error unless the device itself stores the user's password. A change of an external user is
// refused by the device, or has no effect (inferred).
func (c *client) requireLocal(ctx context.Context, access string, user userObject) error {
	local, err := c.isLocalSource(ctx, access, user.text("identitySourceId"))
	if err != nil || local {
		return err
	}
	return &provider.Error{
		Class: provider.ClassInvalid, Op: opUsers,
		Message: "the user does not belong to the device's local identity source, so an external server keeps the password",
		Remedy:  "change the password at that server, and write it to config/" + c.config,
	}
}
