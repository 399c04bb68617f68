package trend

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// The vendor's texts, as far as they are documented.
const (
	cannotViewKeys    = "Not authorized to view API keys"
	cannotMakeSecrets = "Not authorized to generate API secret keys"
	noSuchKey         = "The API key does not exist"
)

// number is an integer that may also be written as a string, as the vendor's samples do with roleID.
type number int64

// UnmarshalJSON implements [json.Unmarshaler].
func (n *number) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	value, err := strconv.ParseInt(text, 10, 64)
	*n = number(value)
	return err
}

// keyRequest is the body of a creation or modification. Members that are absent are nil; all others that a
// key has cannot be written, and are ignored.
type keyRequest struct {
	KeyName     *string         `json:"keyName"`
	Description *string         `json:"description"`
	Locale      *string         `json:"locale"`
	TimeZone    *string         `json:"timeZone"`
	RoleID      *number         `json:"roleID"`
	Active      *bool           `json:"active"`
	ExpiryDate  json.RawMessage `json:"expiryDate"`
}

// refusal is a status and what to tell the client. The zero value is none.
type refusal struct {
	status int
	text   string
}

// write answers with the refusal if there is one.
func (f refusal) write(w http.ResponseWriter) bool {
	if f.status == 0 {
		return false
	}
	refuse(w, f.status, f.text)
	return true
}

// bad is a refusal with status 400.
func bad(text string) refusal { return refusal{http.StatusBadRequest, text} }

// readKey reads the body of a creation or modification.
func readKey(body []byte) (keyRequest, refusal) {
	var request keyRequest
	if err := json.Unmarshal(body, &request); err != nil {
		return request, bad("The request body is not a valid API key")
	}
	return request, refusal{}
}

// applyCommon overlays the members that a key may change of itself.
func (t *service) applyCommon(k *key, request keyRequest) refusal {
	if request.KeyName != nil {
		limit := t.env.Integer(switchNameLength)
		switch {
		case *request.KeyName == "" || limit > 0 && len(*request.KeyName) > limit:
			return bad("The name of the API key is empty or too long")
		case t.named(*request.KeyName, k) && t.env.Switch(switchDuplicateName) != "accept":
			return refusal{t.status(switchDuplicateName), "An API key with that name exists already"}
		}
		k.name = *request.KeyName
	}
	if request.Locale != nil {
		if !slices.Contains([]string{"en-US", "ja-JP"}, *request.Locale) {
			return bad("The locale is not supported")
		}
		k.locale = *request.Locale
	}
	if request.Description != nil {
		k.description = *request.Description
	}
	if request.TimeZone != nil && *request.TimeZone != "" {
		k.timeZone = *request.TimeZone
	}
	return refusal{}
}

// applyRole overlays roleID.
func (t *service) applyRole(k *key, request keyRequest, c call) refusal {
	if request.RoleID == nil {
		return refusal{}
	}
	wanted := t.roleByID(int(*request.RoleID))
	switch {
	case wanted == nil:
		return refusal{t.status(switchUnknownRole), "The role does not exist"}
	case c.role.EqualOrLesser && !c.role.covers(wanted):
		return refusal{http.StatusForbidden, "Not authorized to give an API key more rights than one's own"}
	}
	k.role = wanted.ID
	return refusal{}
}

// readExpiry reads expiryDate. given is false when it is absent; a zero time stands for null and 0.
func (r keyRequest) readExpiry() (expires time.Time, given bool, refused refusal) {
	if r.ExpiryDate == nil {
		return time.Time{}, false, refusal{}
	}
	var at *int64
	if err := json.Unmarshal(r.ExpiryDate, &at); err != nil || at != nil && *at < 0 {
		return time.Time{}, false, bad("The expiry date is not a number of milliseconds")
	}
	if at == nil || *at == 0 {
		return time.Time{}, true, refusal{}
	}
	return time.UnixMilli(*at).UTC(), true, refusal{}
}

// createKey answers POST /apikeys. The secret is in this answer only.
func (t *service) createKey(w http.ResponseWriter, c call) {
	rule := t.env.Switch(switchCreateRights)
	mayKeys, mayUsers := c.role.has(rightCreateKeys), c.role.has(rightCreateUsers)
	if rule != "administrator" && !mayKeys || rule != "apikey" && !mayUsers {
		refuse(w, http.StatusForbidden, "Not authorized to create API keys")
		return
	}
	request, refused := readKey(c.body)
	if refused.write(w) {
		return
	}
	if request.KeyName == nil || request.RoleID == nil {
		refuse(w, http.StatusBadRequest, "The API key needs a name and a role")
		return
	}
	made := &key{locale: defaultLocale, timeZone: defaultTimeZone}
	if t.applyCommon(made, request).write(w) || t.applyRole(made, request, c).write(w) {
		return
	}
	expires, _, refused := request.readExpiry()
	if refused.write(w) {
		return
	}
	if !expires.IsZero() {
		if !expires.After(t.env.Now()) && t.env.Switch(switchPastExpiry) == "reject" {
			refuse(w, http.StatusBadRequest, "The expiry date is in the past")
			return
		}
		made.expires = t.kept(expires)
	}
	kind := emulator.KindLeased
	if c.key == nil || t.roleByID(made.role).has(rightCreateKeys) {
		kind = emulator.KindLogin
	}
	t.addKey(made, kind, newSecret(t.env))
	if request.Active != nil {
		made.active = *request.Active
	}
	shown := t.showChanged(made)
	shown.SecretKey = made.secret
	emulator.WriteJSON(w, t.status(switchCreateStatus), shown)
}

// target finds the key that a path names, or refuses.
func (t *service) target(w http.ResponseWriter, c call) *key {
	found := t.keyByID(c.id)
	if found == nil {
		refuse(w, http.StatusNotFound, noSuchKey)
	}
	return found
}

// listKeys answers GET /apikeys.
func (t *service) listKeys(w http.ResponseWriter, c call) {
	if !allowed(w, c, rightViewKeys, cannotViewKeys) {
		return
	}
	shown := make([]view, 0, len(t.keys))
	for _, k := range t.keys {
		shown = append(shown, k.show())
	}
	emulator.WriteJSON(w, http.StatusOK, map[string]any{"apiKeys": shown})
}

// describeKey answers GET /apikeys/{id}.
func (t *service) describeKey(w http.ResponseWriter, c call) {
	if !allowed(w, c, rightViewKeys, cannotViewKeys) {
		return
	}
	if found := t.target(w, c); found != nil {
		emulator.WriteJSON(w, http.StatusOK, found.show())
	}
}

// modifyKey answers POST /apikeys/{id}. Members that are absent stay as they are.
func (t *service) modifyKey(w http.ResponseWriter, c call) {
	if !allowed(w, c, rightEditKeys, "Not authorized to edit API keys") {
		return
	}
	found := t.target(w, c)
	if found == nil {
		return
	}
	request, refused := readKey(c.body)
	if refused.write(w) {
		return
	}
	changed := *found
	if t.applyCommon(&changed, request).write(w) || t.applyRole(&changed, request, c).write(w) {
		return
	}
	expires, refused := t.newExpiry(found, request)
	if refused.write(w) {
		return
	}
	*found = changed
	if request.Active != nil {
		found.active, found.unlock, found.failures = *request.Active, time.Time{}, 0
	}
	if !expires.Equal(found.expires) {
		t.setExpiry(found, expires)
	}
	emulator.WriteJSON(w, http.StatusOK, t.showChanged(found))
}

// newExpiry decides where a modification moves the end of a key.
func (t *service) newExpiry(k *key, request keyRequest) (time.Time, refusal) {
	expires, given, refused := request.readExpiry()
	if refused.status != 0 || !given {
		return k.expires, refused
	}
	if expires.IsZero() {
		switch t.env.Switch(switchClearedExpiry) {
		case "clear":
			return time.Time{}, refusal{}
		case "ignore":
			return k.expires, refusal{}
		}
		return k.expires, bad("The expiry date cannot be cleared")
	}
	switch rule := t.env.Switch(switchExtendExpired); {
	case t.expired(k) && rule == "reject":
		return k.expires, bad("The API key has expired")
	case t.expired(k) && rule == "ignore":
		return k.expires, refusal{}
	case !expires.After(t.env.Now()) && t.env.Switch(switchPastExpiry) == "reject":
		return k.expires, bad("The expiry date is in the past")
	case expires.Before(k.expires) && t.env.Switch(switchShortenedExpiry) == "reject":
		return k.expires, bad("The expiry date cannot be earlier than before")
	}
	return t.kept(expires), refusal{}
}

// deleteKey answers DELETE /apikeys/{id}, with an empty body.
func (t *service) deleteKey(w http.ResponseWriter, c call) {
	if !allowed(w, c, rightDeleteKeys, "Not authorized to delete API keys") {
		return
	}
	if found := t.target(w, c); found != nil {
		t.removeKey(found, emulator.EndedRevoked)
		w.WriteHeader(t.status(switchDeleteStatus))
	}
}

// replaceSecret answers POST /apikeys/{id}/secretkey. The previous secret stops working at once.
func (t *service) replaceSecret(w http.ResponseWriter, c call) {
	if !allowed(w, c, rightEditKeys, cannotMakeSecrets) {
		return
	}
	if found := t.target(w, c); found != nil {
		t.regenerate(w, found)
	}
}

// regenerate gives a key another secret and answers with it.
func (t *service) regenerate(w http.ResponseWriter, k *key) {
	t.setSecret(k, newSecret(t.env))
	shown := k.show()
	shown.SecretKey = k.secret
	emulator.WriteJSON(w, http.StatusOK, shown)
}

// self refuses a session, which is no API key, where a key asks about itself.
func self(w http.ResponseWriter, c call) bool {
	if c.key == nil {
		refuse(w, http.StatusForbidden, "Not authenticated with an API key")
	}
	return c.key != nil
}

// describeCurrent answers GET /apikeys/current.
func (t *service) describeCurrent(w http.ResponseWriter, c call) {
	if self(w, c) {
		emulator.WriteJSON(w, http.StatusOK, t.showCurrent(c))
	}
}

// showCurrent writes a key for itself.
func (t *service) showCurrent(c call) currentView {
	return currentView{view: c.key.show(), RoleURN: c.role.URN, TenantID: tenantID, TenantGUID: t.tenantGUID}
}

// modifyCurrent answers POST /apikeys/current, which changes neither expiry, role nor active.
func (t *service) modifyCurrent(w http.ResponseWriter, c call) {
	if !self(w, c) {
		return
	}
	request, refused := readKey(c.body)
	changed := *c.key
	if refused.write(w) || t.applyCommon(&changed, request).write(w) {
		return
	}
	*c.key = changed
	emulator.WriteJSON(w, http.StatusOK, t.showCurrent(c))
}

// replaceCurrentSecret answers POST /apikeys/current/secretkey.
func (t *service) replaceCurrentSecret(w http.ResponseWriter, c call) {
	if !self(w, c) || t.env.Enabled(switchOwnSecretRight) && !allowed(w, c, rightEditKeys, cannotMakeSecrets) {
		return
	}
	t.regenerate(w, c.key)
}
