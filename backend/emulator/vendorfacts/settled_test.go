package vendorfacts_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/all"
)

// settledFacts is the number of facts of each vendor's contract that were settled in November 2026. They are numbered from 1.
// An addition to a contract raises the number, and then needs a row of settled.
var settledFacts = map[string]int{"fortianalyzer": 12, "fortisiem": 7, "ftd": 8, "lacework": 6, "trend": 7}

// settledFact is one such fact, the defaults of the emulator's switches that follow from it, and the tests that name it.
type settledFact struct {
	fact     string
	switches map[string]string // the default by the switch's name
	tests    []string          // directory below backend, and function
}

// settled holds the facts by vendor, in the order of their numbers.
var settled = map[string][]settledFact{
	"ftd": {
		{
			"external users are user objects too; identitySourceId names the local source",
			map[string]string{"external_users": "objects", "local_identity_source": "e3e74c32-3c03-11e8-983b-95c21a1b6da9"},
			[]string{"provider/ftd TestRotateRoot_ExternalUser_IsInvalid", "emulator/ftd TestUsers_List_IsPagedFilteredAndMasked"},
		}, {
			"a change of an external user is refused, or has no effect",
			map[string]string{"external_user_change": "reject"},
			[]string{"provider/ftd TestRotateRoot_ExternalUser_IsInvalid"},
		}, {
			"Too many failed attempts is a rate limit",
			map[string]string{"failed_attempts_until_lockout": "5", "failed_attempts_lockout": "1m0s", "failed_attempts_status": "400"},
			[]string{"provider/ftd TestLoginBackoff_DeviceLocksLogins_Recovers", "provider/ftd TestLoginBackoff_TooManyAttempts_IsRateLimit"},
		}, {
			"activeusersessions lists custom tokens by their jti",
			map[string]string{"custom_tokens_in_sessions": "yes", "session_id_is_jti": "yes"},
			[]string{"provider/ftd TestDetectListing_PersonLogsInAtOnce_IsExact"},
		}, {
			"a DELETE ends one listed session; the id default is never sent",
			map[string]string{"session_delete_status": "204", "default_session": "all"},
			[]string{"provider/ftd TestRevoke_RefusedByToken_EndsListedSession", "provider/ftd TestTokenID_ClaimOrNone_IsReturned"},
		}, {
			"the OpenAPI document and its models satisfy Cisco's Ansible module", nil,
			[]string{"emulator/ftd TestSpecification_AnsibleModule_FindsItsModels"},
		}, {
			"filters name:x and fts~x, and limit=0 for all", nil,
			[]string{"emulator/ftd TestUsers_List_IsPagedFilteredAndMasked"},
		}, {
			"custom tokens probably survive a reboot",
			map[string]string{"reboot_keeps_tokens": "yes"},
			[]string{"emulator/ftd TestSuite"},
		},
	},
	"fortianalyzer": {
		{
			"repeated password grants lock the account out, for all client ids",
			map[string]string{"lockout_threshold": "60", "lockout_duration": "30m0s", "lockout_counts": "password"},
			[]string{"emulator/fortianalyzer TestLockout_RepeatedGrants_RefusesAllClientIDs", "provider/fortianalyzer TestAccount_PasswordRejectedAfterSuccess_NamesLockout"},
		}, {
			"one access token per server, API user and client id", nil,
			[]string{"provider/fortianalyzer TestAccount_HundredsOfOperations_SendOnePassword", "provider/fortianalyzer TestAccount_ConcurrentConfigs_SendOnePassword"},
		}, {
			"a new token ends the one before of the same client id",
			map[string]string{"single_active_token": "yes"},
			[]string{"provider/fortianalyzer TestAccount_TokenEndedByOtherProgram_IsReplacedOnce"},
		}, {
			"bad credentials are 400 invalid_grant",
			map[string]string{"bad_credentials_status": "400", "oauth_error_shape": "oauth"},
			[]string{"provider/fortianalyzer TestIssue_PasswordRejected_IsDefiniteWithRetryAfter"},
		}, {
			"a path without the slash is redirected, and loses its body",
			map[string]string{"missing_slash": "301"},
			[]string{"emulator/fortianalyzer TestSuite"},
		}, {
			"expires_in is 3660, and a refresh answers with a new refresh token",
			map[string]string{"token_expires_in": "3660", "refresh_token": "rotate"},
			[]string{"provider/fortianalyzer TestAccount_TokenNearItsEnd_IsRefreshed"},
		}, {
			"token requests are JSON or forms, revocations JSON only",
			map[string]string{"oauth_form_body": "accept"},
			[]string{"emulator/fortianalyzer TestSuite"},
		}, {
			"one source: 429 after 100 requests a minute",
			map[string]string{"rate_limit_per_minute": "0", "rate_limit_retry_after": "yes"},
			[]string{"provider/fortianalyzer TestRateLimit_WithinCallersTime_IsWaitedFor"},
		}, {
			"a session has no absolute life, and the HTTP status says nothing about a call's result",
			map[string]string{"absolute_life": "0s"},
			[]string{"emulator/fortianalyzer TestSession_Idle_EndsUnlessUsed", "provider/fortianalyzer TestRenew_UndocumentedAbsoluteLife_ReturnsNotFound"},
		}, {
			"-11 may mean that the user is refused although its rights are unchanged", nil,
			[]string{"provider/fortianalyzer TestRevoke_UserLostPermission_ReturnsForbidden"},
		}, {
			"workspace-mode is served", nil,
			[]string{"emulator/fortianalyzer TestCall_KnownReads_Succeed"},
		}, {
			"no public call resets an API user's password", nil,
			[]string{"provider/fortianalyzer TestConformance"},
		},
	},
	"fortisiem": {
		{
			"expires_in is in seconds, and several tokens live at once",
			map[string]string{"expires_in_unit": "seconds", "second_token": "coexists"},
			[]string{"provider/fortisiem TestIssue_ExpirySources_EarliestCounts"},
		}, {
			"one release may issue a token only once",
			map[string]string{"single_issue": "no"},
			[]string{"provider/fortisiem TestSpareToken_AfterCheck_IsFirstCredential", "provider/fortisiem TestCheck_SingleIssue_UsesSpareToken"},
		}, {
			"the token of a check is the first credential, and roles share", nil,
			[]string{". TestFortiSIEM_ConfigWrite_TokenIsFirstCredential", ". TestRoleWrite_SharingAbsent_IsVendorsDefault"},
		}, {
			"too many requests are 429, or 400 with an empty or unknown body",
			map[string]string{"early_answer": "429", "token_interval": "5s"},
			[]string{"provider/fortisiem TestIssue_TooEarlyOnce_WaitsAndTriesAgain"},
		}, {
			"spare names token and expiresIn, in minutes",
			map[string]string{"answer_names": "documented"},
			[]string{"provider/fortisiem TestIssue_SpareNames_AreUnderstood"},
		}, {
			"no public call makes, lists or revokes credentials", nil,
			[]string{"emulator/fortisiem TestToken_AttemptsToRevoke_AreRefused"},
		}, {
			"members of the health summary's nodes, and claims of the sample JWT",
			map[string]string{"token_subject": "client_id"},
			[]string{"emulator/fortisiem TestExchange_ValidPair_AnswersThreeMembersAndAJWT", "emulator/fortisiem TestHealth_LiveBearerOrOwnersPassword_IsAccepted"},
		},
	},
	"lacework": {
		{
			"a dead token is 403, perhaps 401",
			map[string]string{"bad_token_status": "403"},
			[]string{"emulator/lacework TestToken_WithAndWithoutScheme_WorksUntilExpiry", "provider/lacework TestCheck_ProfileUnavailable_FailsForRejectedTokenOnly"},
		}, {
			"RateLimit-Reset is the wait until the next request",
			map[string]string{"rate_limit_reset": "next"},
			[]string{"provider/lacework TestIssue_RateLimited_ReturnsVendorsRetryTime"},
		}, {
			"unknown paths and members have answers of their own",
			map[string]string{"unknown_path": "403", "unknown_member": "reject"},
			[]string{"provider/lacework TestIssue_UnrecognizedURL_NamesTheAddress"},
		}, {
			"expiryTime 10 is accepted",
			map[string]string{"minimum_expiry": "1"},
			[]string{"emulator/lacework TestIssue_TenSeconds_IsAccepted"},
		}, {
			"orgAccount belongs to the account",
			map[string]string{"org_account": "no"},
			[]string{"emulator/lacework TestSuite"},
		}, {
			"no call revokes a token", nil,
			[]string{"emulator/lacework TestToken_AttemptsToRevoke_AreRefused"},
		},
	},
	"trend": {
		{
			"Vision One Server & Workload Protection has this API", nil,
			[]string{"provider/trend TestProductOf_Host_NamesTheProduct"},
		}, {
			"legacy accounts are moved to it", nil,
			[]string{"provider/trend TestProductOf_Host_NamesTheProduct"},
		}, {
			"401 is a bad key, 403 a missing right",
			map[string]string{"bad_secret_status": "401"},
			[]string{"emulator/trend TestRights_Missing_AreForbidden"},
		}, {
			"users are locked after wrong passwords",
			map[string]string{"failed_logins_until_lockout": "5"},
			[]string{"emulator/trend TestUser_FiveWrongPasswords_IsLockedUntilUnlocked", "provider/trend TestBootstrap_UserLocked_NamesTheUnlockCommand"},
		}, {
			"the certified Ansible collection sends the cookie alone",
			map[string]string{"lenient_sessions": "yes"},
			[]string{"emulator/trend TestLegacyLogin_LenientSessions_OpensASession"},
		}, {
			"a search without a match is an empty list",
			map[string]string{"search_without_match": "empty"},
			[]string{"emulator/trend TestSuite"},
		}, {
			"recordings omit lastSignIn, and have keys of roles without allowWebService",
			map[string]string{"last_sign_in": "omitted", "allow_web_service": "ignored"},
			[]string{"emulator/trend TestSuite"},
		},
	},
}

// Each settled fact is a default of the emulator or a test, or both.
func TestSettled_EveryFact_HasDefaultsAndTests(t *testing.T) {
	require.Len(t, settled, len(all.Vendors()))
	for _, vendor := range all.Vendors() {
		defaults := map[string]string{}
		for _, each := range vendor.Switches {
			defaults[each.Name] = each.Default
		}
		require.Len(t, settled[vendor.Name], settledFacts[vendor.Name], vendor.Name)
		for i, row := range settled[vendor.Name] {
			assert.NotEmpty(t, row.tests, "%s, fact %d", vendor.Name, i+1)
			for name, value := range row.switches {
				assert.Contains(t, defaults, name, "%s, fact %d", vendor.Name, i+1)
				assert.Equal(t, value, defaults[name], "%s, fact %d: default of %s", vendor.Name, i+1, name)
			}
			for _, test := range row.tests {
				directory, function, _ := strings.Cut(test, " ")
				assert.True(t, hasTest(t, directory, function), "%s, fact %d: %s", vendor.Name, i+1, test)
			}
		}
	}
}

// hasTest reports whether a directory below backend has a test function.
func hasTest(t *testing.T, directory, function string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", directory, "*_test.go"))
	require.NoError(t, err)
	pattern := regexp.MustCompile(`(?m)^func ` + function + `\(t \*testing\.T\)`)
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		if pattern.Match(content) {
			return true
		}
	}
	return false
}

// The earlier default of a fact stays a value of its switch: each of these switches has more than one.
func TestSettled_EverySwitch_HasAnotherValue(t *testing.T) {
	for _, vendor := range all.Vendors() {
		for _, row := range settled[vendor.Name] {
			for _, each := range vendor.Switches {
				if _, ok := row.switches[each.Name]; ok && each.Kind == emulator.KindChoice {
					assert.Greater(t, len(each.Allowed), 1, "%s: %s", vendor.Name, each.Name)
				}
			}
		}
	}
}
