package fortisiem

import (
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// Names of the switches.
const (
	switchExpiresUnit      = "expires_in_unit"
	switchTokenExpiry      = "access_token_expiry"
	switchTokenForm        = "token_form"
	switchIssuedAt         = "token_has_iat"
	switchSecondToken      = "second_token"
	switchSingleIssue      = "single_issue"
	switchRefreshGrant     = "refresh_grant"
	switchRefreshRotates   = "refresh_token_rotates"
	switchBodyStatus       = "not_a_form_status"
	switchInterval         = "token_interval"
	switchIntervalFrom     = "token_interval_from"
	switchThreshold        = "failure_threshold"
	switchBlock            = "failure_block"
	switchEarlyIsFailure   = "early_request_is_failure"
	switchRevokingKills    = "revoking_kills_tokens"
	switchResettingKills   = "resetting_secret_kills_tokens"
	switchJSONLabel        = "json_content_type"
	switchErrorShape       = "error_shape"
	switchUnauthorizedBody = "unauthorized_body"
	switchRevokeRoute      = "revoke_route"
	switchRevokeUnknown    = "revoke_unknown_status"
)

// The documented limits, and the default of the GUI's "Access Token Expiry" in the vendor's schema.
const (
	defaultExpiry   = 15 * time.Minute
	defaultInterval = 5 * time.Second
	defaultBlock    = 5 * time.Minute
	// defaultThreshold is not documented.
	defaultThreshold = 5
)

// switches lists what the vendor's documents leave open, what they contradict each other about, and sizes.
func switches() []emulator.Switch {
	return []emulator.Switch{
		emulator.Choice(switchExpiresUnit,
			"expires_in counts minutes as the schema says, seconds as the sample looks, or is 3600 whatever the token's life",
			"minutes", "seconds", "mismatch"),
		emulator.Duration(switchTokenExpiry, "life of access tokens of the root client, set in the GUI (15 and 1440 minutes are both reported)", defaultExpiry),
		emulator.Choice(switchTokenForm, "access tokens are JWTs, JWTs without exp, or opaque",
			"jwt", "jwt_without_exp", "opaque"),
		emulator.Choice(switchIssuedAt, "JWTs have the claim iat, which the vendor's sample has not", emulator.No, emulator.Yes),
		emulator.Choice(switchSecondToken, "a second token of a client lives beside the first, or ends it",
			"coexists", "replaces"),
		emulator.Choice(switchSingleIssue, "a client yields one token only; more are refused with 400 Invalid input parameters",
			emulator.No, emulator.Yes),
		emulator.Choice(switchRefreshGrant, "grant_type=refresh_token is refused as in 7.5.1, or accepted as 7.5.0 might",
			"refused", "accepted"),
		emulator.Choice(switchRefreshRotates, "the refresh grant answers with a new refresh token and ends the old one",
			emulator.No, emulator.Yes),
		emulator.Choice(switchBodyStatus, "status for a token request that is no form", "400", "415"),
		emulator.Duration(switchInterval, "time between two token requests of a client id; 0s is no limit", defaultInterval),
		emulator.Choice(switchIntervalFrom, "the interval counts from the last request, refused for coming early or not, or from the last that did not",
			"any_request", "admitted_request"),
		emulator.Integer(switchThreshold, "refusals in a row that block a client id; 0 is no limit", defaultThreshold),
		emulator.Duration(switchBlock, "how long a client id is blocked then", defaultBlock),
		emulator.Choice(switchEarlyIsFailure, "a request that comes too early counts as a refusal", emulator.Yes, emulator.No),
		emulator.Choice(switchRevokingKills, "revoking a client ends its access tokens", emulator.Yes, emulator.No),
		emulator.Choice(switchResettingKills, "a new secret ends the client's access tokens", emulator.Yes, emulator.No),
		emulator.Choice(switchJSONLabel, "content type of JSON bodies (some releases label them as text)",
			"application/json", "text/plain"),
		emulator.Choice(switchErrorShape, "errors are JSON with error and message, or the bare message under a JSON content type",
			"json", "plain_as_json"),
		emulator.Choice(switchUnauthorizedBody, "body of a 401: JSON like other errors, plain text, or none",
			"json", "plain", "empty"),
		emulator.Choice(switchRevokeRoute,
			"NOT an API of the vendor's: serves "+revokePath+", which ends the access token that a form, a JSON object (member token) or else the Authorization header names",
			emulator.No, emulator.Yes),
		emulator.Choice(switchRevokeUnknown, "status of that route for a token that does not work any more", "404", "200", "401"),
	}
}
