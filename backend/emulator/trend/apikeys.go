package trend

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// The messages that several calls answer. The first two are documented.
const (
	cannotViewKeys    = "Not authorized to view API keys"
	cannotMakeSecrets = "Not authorized to generate API secret keys"
	noSuchKey         = "The API key does not exist"
)

// number is an integer that may also be a JSON string, such as roleID in the vendor's samples.
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

// keyRequest is the body of a creation or modification. Absent members are nil. A key's other members are
// read-only, and the manager ignores them.
type keyRequest struct {
	KeyName     *string         `json:"keyName"`
	Description *string         `json:"description"`
	Locale      *string         `json:"locale"`
	TimeZone    *string         `json:"timeZone"`
	RoleID      *number         `json:"roleID"`
	Active      *bool           `json:"active"`
	ExpiryDate  json.RawMessage `json:"expiryDate"`
}

// refusal is the status and message of a refusal. The zero value means no refusal.
type refusal struct {
	status int
	text   string
}

// write answers with the refusal and reports true, if there is one.
func (f refusal) write(w http.ResponseWriter) bool {
	if f.status == 0 {
		return false
	}
	refuse(w, f.status, f.text)
	return true
}

// bad returns a refusal with status 400.
func bad(text string) refusal { return refusal{http.StatusBadRequest, text} }

// readKey reads the body of a creation or modification.
func readKey(body []byte) (keyRequest, refusal) {
	var request keyRequest
	if err := json.Unmarshal(body, &request); err != nil {
		return request, bad("The request body is not a valid API key")
	}
	return request, refusal{}
}

// applyCommon sets the members that a key may change for itself.
func (svc *service) applyCommon(k *key, request keyRequest) refusal {
	if request.KeyName != nil {
		limit := svc.env.Integer(switchNameLength)
		switch {
		case *request.KeyName == "" || limit > 0 && len(*request.KeyName) > limit:
			return bad("The name of the API key is empty or too long")
		case svc.named(*request.KeyName, k) && svc.env.Switch(switchDuplicateName) != "accept":
			return refusal{svc.status(switchDuplicateName), "An API key with that name exists already"}
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

// applyRole sets roleID.
func (svc *service) applyRole(k *key, request keyRequest, c call) refusal {
	if request.RoleID == nil {
		return refusal{}
	}
	wanted := svc.roleByID(int(*request.RoleID))
	switch {
	case wanted == nil:
		return refusal{svc.status(switchUnknownRole), "The role does not exist"}
	case c.role.EqualOrLesser && !c.role.covers(wanted):
		return refusal{http.StatusForbidden, "Not authorized to give an API key more rights than one's own"}
	}
	k.role = wanted.ID
	return refusal{}
}

// readExpiry reads expiryDate. given is false if it is absent. A zero time means null or 0.
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

// createKey answers POST /apikeys. Only this answer contains the secret.
func (svc *service) createKey(w http.ResponseWriter, c call) {
	rule := svc.env.Switch(switchCreateRights)
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
	if svc.applyCommon(made, request).write(w) || svc.applyRole(made, request, c).write(w) {
		return
	}
	expires, _, refused := request.readExpiry()
	if refused.write(w) {
		return
	}
	if !expires.IsZero() {
		if !expires.After(svc.env.Now()) && svc.env.Switch(switchPastExpiry) == "reject" {
			refuse(w, http.StatusBadRequest, "The expiry date is in the past")
			return
		}
		made.expires = svc.storedExpiry(expires)
	}
	kind := emulator.KindLeased
	if c.key == nil || svc.roleByID(made.role).has(rightCreateKeys) {
		kind = emulator.KindLogin
	}
	svc.addKey(made, kind, newSecret(svc.env))
	if request.Active != nil {
		made.active = *request.Active
	}
	shown := svc.showChanged(made)
	shown.SecretKey = made.secret
	emulator.WriteJSON(w, svc.status(switchCreateStatus), shown)
}

// target returns the key that the path names. It answers 404 and returns nil if there is none.
func (svc *service) target(w http.ResponseWriter, c call) *key {
	found := svc.keyByID(c.id)
	if found == nil {
		refuse(w, http.StatusNotFound, noSuchKey)
	}
	return found
}

// listKeys answers GET /apikeys.
func (svc *service) listKeys(w http.ResponseWriter, c call) {
	if !allowed(w, c, rightViewKeys, cannotViewKeys) {
		return
	}
	shown := make([]view, 0, len(svc.keys))
	for _, k := range svc.keys {
		shown = append(shown, svc.show(k))
	}
	emulator.WriteJSON(w, http.StatusOK, map[string]any{"apiKeys": shown})
}

// describeKey answers GET /apikeys/{id}.
func (svc *service) describeKey(w http.ResponseWriter, c call) {
	if !allowed(w, c, rightViewKeys, cannotViewKeys) {
		return
	}
	if found := svc.target(w, c); found != nil {
		emulator.WriteJSON(w, http.StatusOK, svc.show(found))
	}
}

// modifyKey answers POST /apikeys/{id}. Absent members keep their values.
func (svc *service) modifyKey(w http.ResponseWriter, c call) {
	if !allowed(w, c, rightEditKeys, "Not authorized to edit API keys") {
		return
	}
	found := svc.target(w, c)
	if found == nil {
		return
	}
	request, refused := readKey(c.body)
	if refused.write(w) {
		return
	}
	changed := *found
	if svc.applyCommon(&changed, request).write(w) || svc.applyRole(&changed, request, c).write(w) {
		return
	}
	expires, refused := svc.newExpiry(found, request)
	if refused.write(w) {
		return
	}
	*found = changed
	if request.Active != nil {
		found.active, found.unlock, found.failures = *request.Active, time.Time{}, 0
	}
	if !expires.Equal(found.expires) {
		svc.setExpiry(found, expires)
	}
	emulator.WriteJSON(w, http.StatusOK, svc.showChanged(found))
}

// newExpiry returns the expiryDate of a key after a modification.
func (svc *service) newExpiry(k *key, request keyRequest) (time.Time, refusal) {
	expires, given, refused := request.readExpiry()
	if refused.status != 0 || !given {
		return k.expires, refused
	}
	if expires.IsZero() {
		switch svc.env.Switch(switchClearedExpiry) {
		case "clear":
			return time.Time{}, refusal{}
		case "ignore":
			return k.expires, refusal{}
		}
		return k.expires, bad("The expiry date cannot be cleared")
	}
	switch rule := svc.env.Switch(switchExtendExpired); {
	case svc.expired(k) && rule == "reject":
		return k.expires, bad("The API key has expired")
	case svc.expired(k) && rule == "ignore":
		return k.expires, refusal{}
	case !expires.After(svc.env.Now()) && svc.env.Switch(switchPastExpiry) == "reject":
		return k.expires, bad("The expiry date is in the past")
	case expires.Before(k.expires) && svc.env.Switch(switchShortenedExpiry) == "reject":
		return k.expires, bad("The expiry date cannot be earlier than before")
	}
	return svc.storedExpiry(expires), refusal{}
}

// deleteKey answers DELETE /apikeys/{id}, with an empty body.
func (svc *service) deleteKey(w http.ResponseWriter, c call) {
	if !allowed(w, c, rightDeleteKeys, "Not authorized to delete API keys") {
		return
	}
	found := svc.target(w, c)
	switch {
	case found == nil:
	case found == c.key && svc.env.Switch(switchDeleteOwnKey) != "accept":
		refuse(w, svc.status(switchDeleteOwnKey), "An API key cannot delete itself")
	default:
		svc.removeKey(found, emulator.EndedRevoked)
		w.WriteHeader(svc.status(switchDeleteStatus))
	}
}

// replaceSecret answers POST /apikeys/{id}/secretkey. The previous secret stops working at once.
func (svc *service) replaceSecret(w http.ResponseWriter, c call) {
	if !allowed(w, c, rightEditKeys, cannotMakeSecrets) {
		return
	}
	if found := svc.target(w, c); found != nil {
		svc.regenerate(w, found)
	}
}

// regenerate gives a key a new secret and answers with it.
func (svc *service) regenerate(w http.ResponseWriter, k *key) {
	svc.setSecret(k, newSecret(svc.env))
	shown := svc.show(k)
	shown.SecretKey = k.secret
	emulator.WriteJSON(w, http.StatusOK, shown)
}

// self reports whether the caller is an API key. It refuses a session, since a session has no key of its own.
func self(w http.ResponseWriter, c call) bool {
	if c.key == nil {
		refuse(w, http.StatusForbidden, "Not authenticated with an API key")
	}
	return c.key != nil
}

// describeCurrent answers GET /apikeys/current.
func (svc *service) describeCurrent(w http.ResponseWriter, c call) {
	if self(w, c) {
		emulator.WriteJSON(w, http.StatusOK, svc.showCurrent(c))
	}
}

// showCurrent returns the caller's key in the form of the API.
func (svc *service) showCurrent(c call) currentView {
	return currentView{view: svc.show(c.key), RoleURN: c.role.URN, TenantID: tenantID, TenantGUID: svc.tenantGUID}
}

// modifyCurrent answers POST /apikeys/current, which cannot change expiryDate, roleID and active.
func (svc *service) modifyCurrent(w http.ResponseWriter, c call) {
	if !self(w, c) {
		return
	}
	request, refused := readKey(c.body)
	changed := *c.key
	if refused.write(w) || svc.applyCommon(&changed, request).write(w) {
		return
	}
	*c.key = changed
	emulator.WriteJSON(w, http.StatusOK, svc.showCurrent(c))
}

// replaceCurrentSecret answers POST /apikeys/current/secretkey.
func (svc *service) replaceCurrentSecret(w http.ResponseWriter, c call) {
	if !self(w, c) || svc.env.Enabled(switchOwnSecretRight) && !allowed(w, c, rightEditKeys, cannotMakeSecrets) {
		return
	}
	svc.regenerate(w, c.key)
}
