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
	switchSubject          = "token_subject"
	switchAnswerNames      = "answer_names"
	switchSecondToken      = "second_token"
	switchSingleIssue      = "single_issue"
	switchRefreshGrant     = "refresh_grant"
	switchRefreshRotates   = "refresh_token_rotates"
	switchBodyStatus       = "not_a_form_status"
	switchInterval         = "token_interval"
	switchIntervalFrom     = "token_interval_from"
	switchThreshold        = "failure_threshold"
	switchBlock            = "failure_block"
	switchEarlyAnswer      = "early_answer"
	switchEarlyIsFailure   = "early_request_is_failure"
	switchRevokingKills    = "revoking_kills_tokens"
	switchResettingKills   = "resetting_secret_kills_tokens"
	switchJSONLabel        = "json_content_type"
	switchErrorShape       = "error_shape"
	switchUnauthorizedBody = "unauthorized_body"
	switchRevokeRoute      = "revoke_route"
	switchRevokeUnknown    = "revoke_unknown_status"
)

// The documented limits, and the default of the GUI's "Access Token Expiry" from the vendor's schema.
const (
	defaultExpiry   = 15 * time.Minute
	defaultInterval = 5 * time.Second
	defaultBlock    = 5 * time.Minute
	// defaultThreshold is not documented.
	defaultThreshold = 5
)

// switches returns a switch for each choice that the vendor's documents leave open or contradict, and for each
// limit.
func switches() []emulator.Switch {
	return []emulator.Switch{
		emulator.Choice(switchExpiresUnit,
			"expires_in is in seconds as measured, in minutes as in the vendor's schema, or always 3600 as in the sample",
			"seconds", "minutes", "mismatch"),
		emulator.Duration(switchTokenExpiry, "lifetime of the root client's access tokens, set in the GUI (15 and 1440 minutes are both reported)", defaultExpiry),
		emulator.Choice(switchTokenForm, "access tokens are JWTs, JWTs without exp, or opaque",
			"jwt", "jwt_without_exp", "opaque"),
		emulator.Choice(switchIssuedAt, "JWTs have the claim iat, which the vendor's sample does not have", emulator.No, emulator.Yes),
		emulator.Choice(switchSubject, "the claim sub of JWTs is the client id as in the vendor's sample, or the user who created the client",
			"client_id", "owner"),
		emulator.Choice(switchAnswerNames, "the answer has access_token and expires_in, or token and expiresIn, which is in minutes, as some clients expect",
			"documented", "spare"),
		emulator.Choice(switchSecondToken, "a second token of a client leaves the first live, or ends it",
			"coexists", "replaces"),
		emulator.Choice(switchSingleIssue, "a client gets only one token; more are refused with 400 Invalid input parameters",
			emulator.No, emulator.Yes),
		emulator.Choice(switchRefreshGrant, "grant_type=refresh_token is refused as in 7.5.1, or accepted as 7.5.0 might",
			"refused", "accepted"),
		emulator.Choice(switchRefreshRotates, "the refresh grant answers with a new refresh token and ends the old one",
			emulator.No, emulator.Yes),
		emulator.Choice(switchBodyStatus, "status for a token request that is not a form", "400", "415"),
		emulator.Duration(switchInterval, "shortest time between two token requests of a client id; 0s is no limit", defaultInterval),
		emulator.Choice(switchIntervalFrom, "the interval starts at the last request, even if that was too early, or at the last request that was not too early",
			"any_request", "admitted_request"),
		emulator.Integer(switchThreshold, "refusals in a row that block a client id; 0 is no limit", defaultThreshold),
		emulator.Duration(switchBlock, "time for which a client id is blocked after that", defaultBlock),
		emulator.Choice(switchEarlyAnswer,
			"answer to a request that is too early: 429, 429 with Retry-After, or 400 with no body, with an unknown body, or with the documented message",
			"429", "429_retry_after", "400_empty", "400_unknown", "400_documented"),
		emulator.Choice(switchEarlyIsFailure, "a request that is too early counts as a refusal", emulator.Yes, emulator.No),
		emulator.Choice(switchRevokingKills, "revoking a client ends its access tokens", emulator.Yes, emulator.No),
		emulator.Choice(switchResettingKills, "a new secret ends the client's access tokens", emulator.Yes, emulator.No),
		emulator.Choice(switchJSONLabel, "content type of JSON bodies (some releases label them as text)",
			"application/json", "text/plain"),
		emulator.Choice(switchErrorShape, "errors are JSON with error and message, or only the message with a JSON content type",
			"json", "plain_as_json"),
		emulator.Choice(switchUnauthorizedBody, "body of a 401: JSON like other errors, plain text, or none",
			"json", "plain", "empty"),
		emulator.Choice(switchRevokeRoute,
			"NOT an API of the vendor: serves "+revokePath+", which ends the access token in a form or a JSON object (member token), or else in the Authorization header",
			emulator.No, emulator.Yes),
		emulator.Choice(switchRevokeUnknown, "status of that route for a token that is not live", "404", "200", "401"),
	}
}
