package trend

import (
	"slices"
	"strconv"
	"time"
)

// The defaults of a new key.
const (
	defaultLocale   = "en-US"
	defaultTimeZone = "Etc/UTC"
)

// endedByConsole is the reason for the end of a key that a person deleted at the console.
const endedByConsole = "deleted_at_console"

// key is an API key. Times are zero when they are not set.
type key struct {
	id          int
	entry       string // its id in the history, which changes when an expired key is revived
	kind        string // its kind in the history
	name        string
	description string
	locale      string
	timeZone    string
	role        int
	secret      string

	active     bool      // false if it is locked
	failures   int       // wrong secrets since the last right one
	unlock     time.Time // when a lock after wrong secrets ends
	created    time.Time
	lastSignIn time.Time
	expires    time.Time
}

// view is a key in the form of the API. It omits times that are not set, as recorded exchanges do.
type view struct {
	KeyName        string `json:"keyName"`
	Description    string `json:"description"`
	Locale         string `json:"locale"`
	RoleID         int    `json:"roleID"`
	TimeZone       string `json:"timeZone"`
	Active         bool   `json:"active"`
	Created        int64  `json:"created"`
	LastSignIn     int64  `json:"lastSignIn,omitempty"`
	UnlockTime     int64  `json:"unlockTime,omitempty"`
	FailedAttempts int    `json:"unsuccessfulSignInAttempts"`
	ExpiryDate     int64  `json:"expiryDate,omitempty"`
	SecretKey      string `json:"secretKey,omitempty"`
	ServiceAccount bool   `json:"serviceAccount"`
	ID             int    `json:"ID"`
}

// currentView is a key in the answer to its own request.
type currentView struct {
	view
	RoleURN    string `json:"roleURN"`
	TenantID   int    `json:"tenantID"`
	TenantGUID string `json:"tenantGUID"`
}

// milliseconds returns a time in the form of the API, 0 if it is not set.
func milliseconds(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.UnixMilli()
}

// show returns a key in the form of the API, without its secret. The switch last_sign_in determines whether it has lastSignIn.
func (svc *service) show(k *key) view {
	shown := view{
		KeyName:        k.name,
		Description:    k.description,
		Locale:         k.locale,
		RoleID:         k.role,
		TimeZone:       k.timeZone,
		Active:         k.active,
		Created:        milliseconds(k.created),
		LastSignIn:     milliseconds(k.lastSignIn),
		UnlockTime:     milliseconds(k.unlock),
		FailedAttempts: k.failures,
		ExpiryDate:     milliseconds(k.expires),
		ID:             k.id,
	}
	if svc.env.Switch(switchLastSignIn) == "omitted" {
		shown.LastSignIn = 0
	}
	return shown
}

// showChanged returns a key in the form of the answer to a creation or modification.
func (svc *service) showChanged(k *key) view {
	shown := svc.show(k)
	if !svc.env.Enabled(switchExpiryInAnswer) {
		shown.ExpiryDate = 0
	}
	return shown
}

// addKey gives a new key its ID, its secret and an entry in the history. random is the random part of the secret.
func (svc *service) addKey(k *key, kind, random string) {
	svc.lastKey++
	k.id, k.entry, k.kind = svc.lastKey, strconv.Itoa(svc.lastKey), kind
	k.active, k.created = true, svc.env.Now()
	svc.setSecret(k, random)
	svc.keys = append(svc.keys, k)
	svc.env.History.Issue(k.entry, kind, k.name, k.expires)
}

// setSecret gives a key a secret in the form of the switch secret_form.
func (svc *service) setSecret(k *key, random string) {
	prefix := strconv.Itoa(k.id)
	if svc.env.Switch(switchSecretForm) == "tenant" {
		prefix = svc.tenantGUID + "-" + prefix
	}
	k.secret = prefix + ":" + random
}

// keyByID returns the key with an ID, or nil.
func (svc *service) keyByID(id int) *key {
	for _, k := range svc.keys {
		if k.id == id {
			return k
		}
	}
	return nil
}

// named reports whether a key other than except has the name.
func (svc *service) named(name string, except *key) bool {
	return slices.ContainsFunc(svc.keys, func(k *key) bool { return k != except && k.name == name })
}

// expired reports whether a key has reached its expiryDate.
func (svc *service) expired(k *key) bool {
	return !k.expires.IsZero() && !svc.env.Now().Before(k.expires)
}

// removeKey deletes a key.
func (svc *service) removeKey(k *key, by string) {
	svc.keys = slices.DeleteFunc(svc.keys, func(other *key) bool { return other == k })
	svc.env.History.End(k.entry, by)
}

// purge deletes expired keys if the switch expired_keys is purged.
func (svc *service) purge() {
	if svc.env.Switch(switchExpiredKeys) == "purged" {
		svc.keys = slices.DeleteFunc(svc.keys, svc.expired)
	}
}

// setExpiry changes a key's expiryDate. A key that had expired and is now live again gets a new entry in the
// history, since an ended entry stays ended.
func (svc *service) setExpiry(k *key, expires time.Time) {
	wasExpired := svc.expired(k)
	k.expires = expires
	if wasExpired && !svc.expired(k) {
		k.entry += "+"
		svc.env.History.Issue(k.entry, k.kind, k.name, expires)
		return
	}
	svc.env.History.Extend(k.entry, expires)
}

// storedExpiry returns an expiryDate with the precision in which the manager stores it.
func (svc *service) storedExpiry(expires time.Time) time.Time {
	expires = expires.UTC()
	day := expires.Truncate(24 * time.Hour)
	switch svc.env.Switch(switchExpiryPrecision) {
	case "second":
		return expires.Truncate(time.Second)
	case "day_start":
		return day
	case "day_end":
		return day.Add(24*time.Hour - time.Millisecond)
	case "nothing":
		return time.Time{}
	}
	return expires
}
