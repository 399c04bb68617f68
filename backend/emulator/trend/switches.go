package trend

import (
	"slices"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// Names of the switches.
const (
	switchAPIVersion      = "missing_api_version"
	switchBadSecret       = "bad_secret_status"
	switchLockThreshold   = "failed_attempts_until_lockout"
	switchLockDuration    = "lockout_duration"
	switchSecretForm      = "secret_form"
	switchRateLimit       = "rate_limit"
	switchTenantRateLimit = "tenant_rate_limit"
	switchRetryAfter      = "retry_after"
	switchLenientSessions = "lenient_sessions"
	switchSessionIdle     = "session_idle_timeout"
	switchBadLogin        = "bad_login_status"
	switchUserLock        = "failed_logins_until_lockout"
	switchWebService      = "allow_web_service"
	switchLastSignIn      = "last_sign_in"
	switchMFA             = "mfa_required"
	switchTenant          = "tenant_name_required"
	switchCreateStatus    = "create_status"
	switchDeleteStatus    = "delete_status"
	switchDeleteOwnKey    = "delete_own_key"
	switchDuplicateName   = "duplicate_name"
	switchNameLength      = "maximum_name_length"
	switchUnknownRole     = "unknown_role_status"
	switchCreateRights    = "rights_for_create"
	switchOwnSecretRight  = "own_secret_needs_right"
	switchExpiryPrecision = "expiry_precision"
	switchExpiryInAnswer  = "expiry_in_answer"
	switchPastExpiry      = "past_expiry"
	switchClearedExpiry   = "cleared_expiry"
	switchShortenedExpiry = "shortened_expiry"
	switchExtendExpired   = "extend_expired_key"
	switchExpiredKeys     = "expired_keys"
	switchNoMatch         = "search_without_match"
	switchSearchCase      = "search_case"
	switchSearchMaximum   = "search_maximum"
)

// switches returns a switch for each choice that the vendor's documents leave open or contradict, and for
// settings of the product.
func switches() []emulator.Switch {
	return slices.Concat(accessSwitches(), keySwitches(), expirySwitches(), searchSwitches())
}

// accessSwitches are about authentication and limits.
func accessSwitches() []emulator.Switch {
	return []emulator.Switch{
		emulator.Choice(switchAPIVersion, "status for a missing or unknown api-version, or the header is ignored",
			"400", "403", "404", "ignore"),
		emulator.Choice(switchBadSecret, "status for a secret or session that is wrong, expired, locked or missing", "401", "403"),
		emulator.Integer(switchLockThreshold, "wrong secrets in a row that lock a key; 0 is never", 5),
		emulator.Duration(switchLockDuration, "time for which wrong secrets lock a key", 15*time.Minute),
		emulator.Choice(switchSecretForm, "secrets begin with the key's ID, or with the tenant's GUID", "id", "tenant"),
		emulator.Integer(switchRateLimit, "most calls of one key or user in 60 s, more are refused with 429; 0 is no limit", rateLimit),
		emulator.Integer(switchTenantRateLimit, "most calls of the whole tenant in 60 s, more are refused with 429; 0 is no limit", 0),
		emulator.Choice(switchRetryAfter, "a 429 carries Retry-After", "absent", "present"),
		emulator.Choice(switchLenientSessions, "sessions need only the cookie, without rID and api-version, as the vendor's certified Ansible collection assumes",
			emulator.Yes, emulator.No),
		emulator.Duration(switchSessionIdle, "sessions end after this time without use", 30*time.Minute),
		emulator.Choice(switchBadLogin, "status for a wrong user name, password, tenant or code", "401", "403", "400"),
		emulator.Integer(switchUserLock, "wrong passwords in a row that lock the user until the action unlock_user; 0 is never", 5),
		emulator.Choice(switchWebService, "allowWebService of a role has no effect on its keys, as in recordings, or keys of a role without it are refused with 403",
			"ignored", "enforced"),
		emulator.Choice(switchMFA, "logging in needs mfaCode "+mfaCode, emulator.No, emulator.Yes),
		emulator.Choice(switchTenant, "logging in needs tenantName "+tenantName, emulator.No, emulator.Yes),
	}
}

// keySwitches are about creating, changing and deleting keys.
func keySwitches() []emulator.Switch {
	return []emulator.Switch{
		emulator.Choice(switchCreateStatus, "status of a created key", "200", "201"),
		emulator.Choice(switchDeleteStatus, "status of a deletion, which has no body", "204", "200"),
		emulator.Choice(switchDeleteOwnKey, "a key deletes itself, or status for the attempt", "accept", "400", "403", "409"),
		emulator.Choice(switchDuplicateName, "status for a keyName of another key, or the name is accepted", "400", "409", "accept"),
		emulator.Integer(switchNameLength, "longest keyName in bytes, above it 400; 0 is no limit", 128),
		emulator.Choice(switchUnknownRole, "status for a roleID that does not exist", "400", "404", "422"),
		emulator.Choice(switchCreateRights, "creating keys needs the right to create API keys, the right to create users, or both",
			"both", "apikey", "administrator"),
		emulator.Choice(switchLastSignIn, "answers omit lastSignIn even of used keys, as in recordings, or contain it", "omitted", "present"),
		emulator.Choice(switchOwnSecretRight, "a key needs the right to edit API keys to replace its own secret", emulator.Yes, emulator.No),
	}
}

// expirySwitches are about expiryDate.
func expirySwitches() []emulator.Switch {
	return []emulator.Switch{
		emulator.Choice(switchExpiryPrecision,
			"precision in which expiryDate is stored: the millisecond, the second, the start or the end (UTC) of its day, or not at all",
			"millisecond", "second", "day_start", "day_end", "nothing"),
		emulator.Choice(switchExpiryInAnswer, "answers to creation and modification contain expiryDate; reading a key always does",
			emulator.Yes, emulator.No),
		emulator.Choice(switchPastExpiry, "an expiryDate in the past is refused with 400, or accepted", "reject", "accept"),
		emulator.Choice(switchClearedExpiry, "modifying expiryDate to null or 0 is refused with 400, clears it, or changes nothing",
			"reject", "clear", "ignore"),
		emulator.Choice(switchShortenedExpiry, "modifying expiryDate to an earlier time is refused with 400, or accepted",
			"reject", "accept"),
		emulator.Choice(switchExtendExpired, "a later expiryDate for an expired key is refused with 400, ignored with 200, or revives it",
			"reject", "ignore", "revive"),
		emulator.Choice(switchExpiredKeys, "expired keys stay in lists, or are deleted", "kept", "purged"),
	}
}

// searchSwitches are about searches.
func searchSwitches() []emulator.Switch {
	return []emulator.Switch{
		emulator.Choice(switchNoMatch, "a search without a match answers an empty list, null, or no list", "empty", "null", "missing"),
		emulator.Choice(switchSearchCase, "searches for text ignore or distinguish upper and lower case", "insensitive", "sensitive"),
		emulator.Integer(switchSearchMaximum, "most items in the answer to a search, also if maxItems is larger; 0 is no limit except maxItems", 0),
	}
}
