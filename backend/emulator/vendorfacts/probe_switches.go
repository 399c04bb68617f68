package vendorfacts

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// ProbeSwitches says which switches of a vendor's emulator a probe tells apart. Each switch is in one of the two tables.
type ProbeSwitches struct {
	// Base holds the switches that are set in all runs.
	Base map[string]string
	// Observable holds the switches that a probe tells apart.
	Observable map[string]Rows
	// Unobservable holds the other switches, with the reason.
	Unobservable map[string]string
	// UnobservableValues holds the values of observable switches that look like the default, with the reason.
	UnobservableValues map[string]map[string]string
	// Apart lists pairs of switches that are not set in one run: one changes what the other shows.
	Apart [][2]string
	// Alone lists values, as "switch=value", that show in a fact and change the course of the probe all the same.
	Alone []string
}

// Rows names, for each value of a switch, the row of a probe's report whose observation differs from that of the default: a
// step, or "step: fact". A name that begins with "answers of " stands for the answers of a step.
type Rows map[string]string

// ProbeSwitchesOf returns the tables of a vendor. They are empty for an unknown vendor.
func ProbeSwitchesOf(vendor string) ProbeSwitches {
	return ProbeSwitches{probeBase[vendor], observable[vendor], unobservable[vendor], unobservableValues[vendor], apart[vendor], alone[vendor]}
}

// observable holds the switches that a probe tells apart, by vendor.
var observable = map[string]map[string]Rows{
	"ftd": {
		"device_state":              {"booting": "login", "setup_wizard": "use: live_token_status", "busy": "login"},
		"ended_token_status":        {"408": "use_revoked: ended_token_status"},
		"session_limit":             {"1": "renew"},
		"local_identity_source":     {"LOCAL": "answers of login"},
		"minimum_expires_in":        {"60": "second_issue", "1000": "issue"},
		"maximum_subject_length":    {"20": "issue"},
		"no_refresh_members":        {"null": "issue: no_refresh_members", "empty": "issue: no_refresh_members"},
		"revoke_unknown_token":      {"ok": "revoke_again: revoke_unknown_token"},
		"revoke_unknown_subject":    {"ok": "marker: revoke_unknown_subject"},
		"custom_tokens_in_sessions": {"no": "inspect: custom_tokens_in_sessions"},
		"custom_token_session_name": {"subject": "inspect: custom_token_session_name"},
		"session_id_is_jti":         {"no": "inspect: custom_tokens_in_sessions"},
	},
	"fortianalyzer": {
		"token_expires_in":  {"3600": "login: token_expires_in", "14400": "login: token_expires_in"},
		"product":           {"FortiManager": "login"},
		"login_max":         {"1": "second_issue"},
		"idle_timeout":      {"10m": "login: idle_timeout"},
		"status_data":       {"absent": "inspect: status_data"},
		"settings_readable": {"no": "login: settings_readable"},
	},
	"fortisiem": {
		"expires_in_unit":       {"minutes": "login: expires_in_unit", "mismatch": "login: expires_in_unit"},
		"access_token_expiry":   {"24h": "login: expires_in_unit"},
		"token_form":            {"jwt_without_exp": "login: token_claims", "opaque": "login: token_form"},
		"token_has_iat":         {"yes": "login: token_claims"},
		"token_subject":         {"owner": "inspect: token_subject"},
		"answer_names":          {"spare": "login: answer_names"},
		"second_token":          {"replaces": "use_both"},
		"single_issue":          {"yes": "second_issue: single_issue"},
		"token_interval":        {"1m": "second_issue"},
		"json_content_type":     {"text/plain": "login: json_content_type"},
		"error_shape":           {"plain_as_json": "use_revoked: unauthorized_body"},
		"unauthorized_body":     {"plain": "use_revoked: unauthorized_body", "empty": "use_revoked: unauthorized_body"},
		"revoke_route":          {"no": "revoke"},
		"revoke_unknown_status": {"200": "revoke_again: revoke_url_unknown_status", "401": "revoke_again: revoke_url_unknown_status"},
	},
	"lacework": {
		"minimum_expiry":   {"60": "second_issue: minimum_expiry"},
		"success_status":   {"200": "issue: success_status"},
		"bad_token_status": {"401": "expiry: expired_token_status"},
		"org_account":      {"yes": "use: org_account"},
		"token_form":       {"jwt": "issue: token_form"},
		"tokens_per_key":   {"2": "second_issue"},
		"rate_limit":       {"2": "second_issue"},
		"error_shape":      {"legacy": "expiry: error_shape", "plain": "expiry: error_shape"},
		"user_profile":     {"no_content": "use: user_profile"},
	},
	"trend": {
		"missing_api_version": {
			"403": "inspect: missing_api_version", "404": "inspect: missing_api_version", "ignore": "inspect: missing_api_version",
		},
		"bad_secret_status":    {"403": "use_revoked: bad_secret_status"},
		"secret_form":          {"tenant": "inspect: secret_form"},
		"rate_limit":           {"3": "inspect"},
		"tenant_rate_limit":    {"3": "use"},
		"create_status":        {"201": "issue: create_status"},
		"delete_status":        {"200": "revoke: delete_status"},
		"maximum_name_length":  {"20": "issue"},
		"last_sign_in":         {"present": "inspect: last_sign_in"},
		"expiry_precision":     {"day_start": "issue", "day_end": "issue: expiry_date", "nothing": "inspect: expiry_precision"},
		"expiry_in_answer":     {"no": "issue: expiry_in_answer"},
		"extend_expired_key":   {"ignore": "renew_expired: extend_expired_key", "revive": "renew_expired"},
		"expired_keys":         {"purged": "revoke_expired: expired_keys"},
		"search_without_match": {"null": "marker: search_without_match", "missing": "marker: search_without_match"},
		"search_case":          {"sensitive": "inspect: search_case"},
	},
}

// Reasons why a probe cannot observe a switch.
const (
	wrongRoot = "it needs a root credential that is wrong, disabled or without a right: a probe sends none, which counts towards lockouts"
	limit     = "it needs a limit to be reached, and a probe disturbs no other user of the product"
	console   = "it needs an action at the product's console or a change of the root credential"
	other     = "the engine sends no such request"
	longLived = "it shows only after a longer time than a probe takes"
)

// unobservable holds the switches that a probe does not tell apart, with the reason, by vendor.
var unobservable = map[string]map[string]string{
	"ftd": {
		"ha_role": console, "method_not_allowed_status": other, "forbidden_status": wrongRoot, "session_scope": limit, "oldest_by": limit,
		"slot_held_until": limit, "custom_tokens_count": limit, "failed_attempts_until_lockout": wrongRoot, "failed_attempts_lockout": wrongRoot,
		"failed_attempts_status": wrongRoot, "external_users": console, "external_user_change": console, "missing_expires_in": other,
		"above_maximum": other, "refresh_not_longer_than_access": other, "missing_refresh_count": other, "maximum_refresh_count": other,
		"missing_subject": other, "subject_characters": other, "duplicate_subject": other, "password_grant_honours_desired": other,
		"weak_roles_may_manage_tokens": wrongRoot, "failed_refresh_status": longLived, "refresh_kills_old_access": longLived,
		"used_refresh_token": other, "revoke_subject": other, "revoke_token": other, "parent_revoke_kills_custom": longLived,
		"password_change_ends": console, "password_policy": console, "reboot_keeps_tokens": console,
		"session_delete_status": "the engine ends a session this way only if revoke_token is refused", "default_session": other,
	},
	"fortianalyzer": {
		"oauth_form_body": other, "client_id_case": other, "bad_credentials_status": wrongRoot, "oauth_error_shape": wrongRoot,
		"single_active_token": "a second access token would end the one that all configs share", "refresh_token": longLived,
		"refresh_token_life": longLived, "revoke_ends_refresh_token": console, "missing_slash": other, "lockout_threshold": limit,
		"lockout_duration": limit, "lockout_counts": limit, "rate_limit_per_minute": limit, "rate_limit_retry_after": limit,
		"login_failure_status": wrongRoot, "login_error_shape": wrongRoot, "permission_checked_at": wrongRoot, "at_login_max": limit,
		"absolute_life": longLived, "failing_calls_refresh": longLived, "logout_needs_permission": wrongRoot, "portal_change_ends_sessions": console,
	},
	"fortisiem": {
		"refresh_grant": other, "refresh_token_rotates": other, "not_a_form_status": other,
		"token_interval_from": "the engine waits between two requests, so none is too early", "failure_threshold": wrongRoot, "failure_block": wrongRoot,
		"early_answer":             "the engine waits between two requests, so none is too early",
		"early_request_is_failure": "the engine waits between two requests, so none is too early",
		"revoking_kills_tokens":    console, "resetting_secret_kills_tokens": console,
	},
	"lacework": {
		"above_maximum": other, "strict_openapi": other, "require_json_content_type": other, "wrong_key_status": wrongRoot,
		"disabled_key_status": wrongRoot, "disabling_key_kills_tokens": console, "unknown_path": other, "unknown_member": other,
		"service_user_scope_status": "it needs the key of a service user", "rate_limit_reset": limit, "retry_after": limit,
	},
	"trend": {
		"failed_attempts_until_lockout": wrongRoot, "lockout_duration": wrongRoot, "retry_after": limit, "lenient_sessions": other,
		"session_idle_timeout": other, "bad_login_status": wrongRoot, "failed_logins_until_lockout": wrongRoot,
		"allow_web_service": "it needs a key of a role without allowWebService", "mfa_required": other, "tenant_name_required": other,
		"delete_own_key": other, "duplicate_name": other, "unknown_role_status": other, "rights_for_create": wrongRoot,
		"own_secret_needs_right": console, "past_expiry": other, "cleared_expiry": other, "shortened_expiry": other,
		"search_maximum": "the probe has too few keys for a second page",
	},
}

// unobservableValues holds the values of observable switches that look like the default, with the reason.
var unobservableValues = map[string]map[string]map[string]string{
	"lacework": {"org_account": {"header": "it repeats a header that the engine does not send"}},
	"trend":    {"expiry_precision": {"second": "the engine requests whole seconds"}},
}

// probeBase holds the switches that are set in all runs of a vendor's table.
var probeBase = map[string]map[string]string{
	"fortisiem": {"revoke_route": "yes"}, // a config with revoke_url, so that the steps about revocation are made
}

// apart holds the pairs of switches that are not set in one run, by vendor. TestProbe_SwitchesCombined in package backend
// fails if one is missing.
var apart = map[string][][2]string{
	"ftd": {{"custom_token_session_name", "custom_tokens_in_sessions"}, {"custom_token_session_name", "session_id_is_jti"}},
	"fortisiem": {
		{"access_token_expiry", "answer_names"}, {"answer_names", "expires_in_unit"}, {"error_shape", "unauthorized_body"}, {"token_form", "token_has_iat"},
	},
	"lacework": {{"org_account", "user_profile"}},
	"trend":    {{"expired_keys", "extend_expired_key"}},
}

// alone holds the values that change the course of the probe, by vendor.
var alone = map[string][]string{
	"ftd": {"device_state=setup_wizard"}, "fortianalyzer": {"settings_readable=no"},
	"lacework": {"minimum_expiry=60"}, "trend": {"expiry_precision=day_end", "expiry_precision=nothing"},
}

// ProbeRun is one probe that shows several switches: their values, and the rows of the report, both by switch.
type ProbeRun struct {
	Values, Rows map[string]string
}

// Runs returns probes that together show each value of each observable switch. Values that show in a fact are set together,
// and one that changes the course of the probe alone.
func (s ProbeSwitches) Runs() []ProbeRun {
	var together, single []ProbeRun
	for _, name := range slices.Sorted(maps.Keys(s.Observable)) {
		for _, value := range slices.Sorted(maps.Keys(s.Observable[name])) {
			row := s.Observable[name][value]
			if !s.combines(name, value, row) {
				single = append(single, ProbeRun{map[string]string{name: value}, map[string]string{name: row}})
				continue
			}
			fits := func(run ProbeRun) bool { return s.fits(run, name, row) }
			if !slices.ContainsFunc(together, fits) {
				together = append(together, ProbeRun{map[string]string{}, map[string]string{}})
			}
			run := together[slices.IndexFunc(together, fits)]
			run.Values[name], run.Rows[name] = value, row
		}
	}
	return append(together, single...)
}

// combines reports whether the probe takes its usual course with a value, so that it shows other switches too.
func (s ProbeSwitches) combines(name, value, row string) bool {
	return strings.Contains(row, ": ") && !strings.HasPrefix(row, "answers of ") && !slices.Contains(s.Alone, name+"="+value)
}

// fits reports whether a run can show a switch in a row too.
func (s ProbeSwitches) fits(run ProbeRun, name, row string) bool {
	for other, shown := range run.Rows {
		if other == name || shown == row || slices.Contains(s.Apart, [2]string{other, name}) || slices.Contains(s.Apart, [2]string{name, other}) {
			return false
		}
	}
	return true
}

// ComparableObservation returns what a row of a report observed in a form that two probes of the same product share. A life is
// rounded to ten seconds: it is shown in whole seconds, and the time of the request changes it by one or two.
func ComparableObservation(observed string) string {
	life, err := time.ParseDuration(observed)
	switch {
	case err != nil:
		return observed
	case life < 30*time.Second:
		return "less than 30s"
	default:
		return life.Round(10 * time.Second).String()
	}
}
