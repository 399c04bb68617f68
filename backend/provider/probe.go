package provider

import (
	"context"
	"slices"
	"time"
)

// FactStatus is how well a statement about a vendor's product is known.
type FactStatus string

const (
	// FactConfirmed means that the vendor's documents or programs say so.
	FactConfirmed FactStatus = "confirmed"
	// FactInferred means that the statement follows from other facts, and that no source says it.
	FactInferred FactStatus = "inferred"
	// FactUnknown means that no source says what the product does.
	FactUnknown FactStatus = "unknown"
)

// Names of the steps of a probe, in their order. A probe leaves out the steps that a vendor does not have.
const (
	// StepLogin is a login with the root credential.
	StepLogin = "login"
	// StepIssue creates a credential.
	StepIssue = "issue"
	// StepUse uses the credential as an application does.
	StepUse = "use"
	// StepInspect reads what the vendor says of the credential and of itself.
	StepInspect = "inspect"
	// StepList lists the credential by its marker.
	StepList = "list"
	// StepSecond creates a second credential with a short life.
	StepSecond = "second_issue"
	// StepUseBoth uses both credentials.
	StepUseBoth = "use_both"
	// StepRenew renews the first credential.
	StepRenew = "renew"
	// StepUseRenewed uses the first credential after its renewal.
	StepUseRenewed = "use_renewed"
	// StepRevoke revokes the first credential.
	StepRevoke = "revoke"
	// StepUseRevoked uses the first credential after its revocation.
	StepUseRevoked = "use_revoked"
	// StepRevokeAgain revokes the first credential again.
	StepRevokeAgain = "revoke_again"
	// StepMarker looks for credentials with the marker of the first one.
	StepMarker = "marker"
	// StepExpiry uses the second credential after its expiry.
	StepExpiry = "expiry"
	// StepRenewExpired renews the second credential after its expiry.
	StepRenewExpired = "renew_expired"
	// StepRevokeExpired revokes the second credential after its expiry.
	StepRevokeExpired = "revoke_expired"
)

// Fact is a statement about the vendor's product that a probe can observe.
type Fact struct {
	// Step is the step in which the fact is observed.
	Step string
	// Name identifies the fact among the vendor's facts, in snake_case.
	Name string
	// Status is how well the fact is known.
	Status FactStatus
	// Contract is what the sources say, in one sentence.
	Contract string
	// Observe returns what the product did, such as "401", or "" if the step has not shown it. The text contains no
	// secret and nothing that differs from run to run.
	Observe func(seen Observation) string
	// Expected are the observations that agree with Contract. Empty for FactUnknown.
	Expected []string
}

// Observation is what a step of a probe has shown.
type Observation struct {
	// Answers are the vendor's answers, in their order.
	Answers []Answer
	// Requested is the lifetime that was requested, and Granted the one that the driver understood. Both are rounded
	// to seconds, and zero in steps that create or renew no credential.
	Requested, Granted time.Duration
	// Inspected is the result of [Inspector], in the step StepInspect.
	Inspected map[string]string
}

// Last returns the last answer to an operation. op is the end of [Answer.Op].
func (o Observation) Last(op string) (Answer, bool) {
	for _, answer := range slices.Backward(o.Answers) {
		if answer.Is(op) {
			return answer, true
		}
	}
	return Answer{}, false
}

// Prober is implemented by the providers of all vendors: a probe observes their credentials in detail. Their connections
// implement [User].
type Prober interface {
	// ProbeFacts returns the statements of the vendor's contract that a probe can observe. The result is constant.
	ProbeFacts() []Fact
}

// User is implemented by connections that can use a credential as an application does.
//
// The tests do not use it to find out whether a credential works: package emulator/vendorfacts is their own client, which
// shares no code with the drivers, so that a driver whose Use is wrong cannot prove itself right. The conformance suite
// requires that both see the same.
type User interface {
	// Use sends a request that needs the credential and changes nothing. accepted is false if the vendor does not
	// accept the credential. An error says nothing about the credential: the vendor did not answer, or for another
	// reason. It is not ClassUnauthenticated, which is about the root credential.
	Use(ctx context.Context, credential *Credential) (accepted bool, err error)
}

// Inspector is implemented by connections that can read more about a credential, and about the product.
type Inspector interface {
	// Inspect reads facts by their names. The values are short texts without secrets. [InspectedProduct] is the name
	// of the product's version. What cannot be read is left out. It changes nothing at the vendor.
	Inspect(ctx context.Context, credential *Credential) (map[string]string, error)
}

// InspectedProduct is the name of the product's own description, such as its version, in the result of [Inspector].
const InspectedProduct = "product"
