package lacework

import "github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"

// Names of the switches.
const (
	switchAboveMaximum      = "above_maximum"
	switchMinimumExpiry     = "minimum_expiry"
	switchStrictOpenAPI     = "strict_openapi"
	switchContentType       = "require_json_content_type"
	switchSuccessStatus     = "success_status"
	switchWrongKeyStatus    = "wrong_key_status"
	switchDisabledKeyStatus = "disabled_key_status"
	switchDisablingKills    = "disabling_key_kills_tokens"
	switchBadTokenStatus    = "bad_token_status"
	switchUnknownPath       = "unknown_path"
	switchUnknownMember     = "unknown_member"
	switchOrgAccount        = "org_account"
	switchServiceUserStatus = "service_user_scope_status"
	switchTokenForm         = "token_form"
	switchTokensPerKey      = "tokens_per_key"
	switchRateLimit         = "rate_limit"
	switchRateLimitReset    = "rate_limit_reset"
	switchRetryAfter        = "retry_after"
	switchErrorShape        = "error_shape"
	switchUserProfile       = "user_profile"
)

// switches returns a switch for each choice that the vendor's documents leave open or contradict, and for each
// limit.
func switches() []emulator.Switch {
	return []emulator.Switch{
		emulator.Choice(switchAboveMaximum, "expiryTime above 86400 is refused with 400, or cut to 86400",
			"reject", "clamp"),
		emulator.Integer(switchMinimumExpiry, "smallest expiryTime in seconds; below it 400 (the vendor names none)", 1),
		emulator.Choice(switchStrictOpenAPI,
			"a missing expiryTime means 3600 as the guide says, or is refused with 400 as the OpenAPI document says",
			emulator.No, emulator.Yes),
		emulator.Choice(switchContentType, "a token request that is not of type application/json is refused with 400",
			emulator.Yes, emulator.No),
		emulator.Choice(switchSuccessStatus, "status of a issued token (201 is documented, the vendor's own mock says 200)",
			"201", "200"),
		emulator.Choice(switchWrongKeyStatus, "status for an unknown key id or a wrong secret", "401", "403", "400"),
		emulator.Choice(switchDisabledKeyStatus, "status for a disabled key with the right secret", "401", "403"),
		emulator.Choice(switchDisablingKills, "disabling or deleting a key ends the tokens issued with it",
			emulator.No, emulator.Yes),
		emulator.Choice(switchBadTokenStatus, "status for an expired or unknown bearer token", "403", "401"),
		emulator.Choice(switchUnknownPath, "an unknown path is answered with 403 and Unrecognized url, or with 404", "403", "404"),
		emulator.Choice(switchUnknownMember, "an unknown member of a token request is refused with 400, or ignored", "reject", "ignore"),
		emulator.Choice(switchOrgAccount, "orgAccount in UserProfile is a property of the account, which belongs to no organisation or to one, or repeats Org-Access",
			emulator.No, emulator.Yes, "header"),
		emulator.Choice(switchServiceUserStatus, "status when a service user's token is used with Account-Name or Org-Access",
			"403", "401"),
		emulator.Choice(switchTokenForm, "tokens are opaque strings, or look like a JWT", "opaque", "jwt"),
		emulator.Integer(switchTokensPerKey, "live tokens that a key may have; more are refused with 403; 0 is no limit", 0),
		emulator.Integer(switchRateLimit, "requests per hour, user and functionality; 0 refuses every request with 429", rateLimit),
		emulator.Choice(switchRateLimitReset, "RateLimit-Reset counts the seconds until the next request, or until the bucket is full",
			"next", "full"),
		emulator.Choice(switchRetryAfter, "a 429 carries Retry-After", "absent", "present"),
		emulator.Choice(switchErrorShape, "errors are {\"message\"}, the envelope of API 1 with data.message, or plain text",
			"message", "legacy", "plain"),
		emulator.Choice(switchUserProfile, "UserProfile answers 200 with data, or 204", "data", "no_content"),
	}
}
