package backend

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

const (
	// exclusiveTimeout bounds how long a rotation waits for requests under way, while it holds back new ones.
	exclusiveTimeout = 30 * time.Second

	// passwordBytes are the random ones of a password that is made without a policy; it has 32 characters then.
	passwordBytes = 21
)

// errRotationInProgress refuses what cannot happen beside a rotation.
var errRotationInProgress = logical.CodedError(http.StatusConflict, "the root credential of this config is being rotated at the moment; try again")

// rotateRoot replaces a config's root credential by another, and returns warnings for the operator. No request uses
// the config meanwhile: its login may end with the change, and a second attempt with the former password can lock a
// vendor's account.
func (b *backend) rotateRoot(ctx context.Context, storage logical.Storage, name string) ([]string, error) {
	warnings, err := b.rotate(ctx, storage, name)
	if err != nil {
		return nil, err
	}
	b.Logger().Info("root credential rotated", "config", name)
	b.event(ctx, eventRootRotate, "config", name)
	if err := b.completeRotation(context.WithoutCancel(ctx), storage, name); err != nil {
		warnings = append(warnings, "the root credential is rotated; what is left to do will be tried again: "+err.Error())
	}
	return warnings, nil
}

// rotate is rotateRoot but for what follows it.
func (b *backend) rotate(ctx context.Context, storage logical.Storage, name string) ([]string, error) {
	// What an earlier rotation has left open is settled first. Its former root credential would be forgotten otherwise.
	if err := b.revokePrevious(ctx, storage, name); err != nil {
		return nil, err
	}
	seen, err := b.config(ctx, storage, name)
	if err != nil {
		return nil, err
	}
	if seen == nil {
		return nil, errConflict(name)
	}
	switch can := b.providers[seen.Vendor].Capabilities(); {
	case !can.RotatesRoot:
		return nil, &provider.Error{
			Class: provider.ClassInvalid, Message: fmt.Sprintf("the API of vendor %q cannot replace the root credential", seen.Vendor),
			Remedy: can.RotationNote,
		}
	case seen.Retired:
		return nil, &provider.Error{Class: provider.ClassInvalid, Message: "the config is retired"}
	}
	if err := b.ensureRootNotShared(ctx, storage, name, seen); err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, exclusiveTimeout)
	defer cancel()
	conn, free, err := b.connections.acquireExclusive(waiting, storage, name, seen)
	if err != nil {
		return nil, err
	}
	defer free()
	entry, err := readConfig(ctx, storage, name)
	if err != nil {
		return nil, err
	}
	// One that another rotation has left meanwhile would be forgotten.
	if entry == nil || entry.Revision != seen.Revision || entry.Root.Previous != nil {
		return nil, errConflict(name)
	}
	rotator, ok := conn.Connection.(provider.RootRotator)
	if !ok {
		return nil, fmt.Errorf("the vendor's connection %T cannot rotate although its capabilities say so", conn.Connection)
	}
	return b.replaceRoot(ctx, storage, name, entry, conn, rotator)
}

// ensureRootNotShared refuses to replace a root credential that another config of the mount uses too: that one would be
// locked out, and could not even revoke what it has issued.
func (b *backend) ensureRootNotShared(ctx context.Context, storage logical.Storage, name string, entry *configEntry) error {
	names, err := storage.List(ctx, configPrefix)
	if err != nil {
		return fmt.Errorf("listing the configs: %w", err)
	}
	for _, other := range names {
		config, err := b.config(ctx, storage, other)
		if err != nil {
			return err
		}
		if other == name || config == nil || config.Vendor != entry.Vendor || config.Address != entry.Address {
			continue
		}
		for field, schema := range b.providers[entry.Vendor].ConfigFields() {
			if isSensitive(schema) && entry.Fields[field] != nil && entry.Fields[field] == config.Fields[field] {
				return &provider.Error{
					Class: provider.ClassInvalid, Message: fmt.Sprintf("config %q has the same root credential, and would be locked out", other),
					Remedy: "give each its own first",
				}
			}
		}
	}
	return nil
}

// replaceRoot writes down what the next root credential will be, or by which marker it can be found, has the vendor
// change to it, proves that it works, and stores it.
func (b *backend) replaceRoot(ctx context.Context, storage logical.Storage, name string, entry *configEntry, conn *connection,
	rotator provider.RootRotator,
) ([]string, error) {
	fresh, err := rotator.ProposeRoot(func(policy string) (string, error) { return b.newPassword(ctx, policy) })
	if err != nil {
		return nil, err
	}
	id, err := newID(b.random)
	if err != nil {
		return nil, err
	}
	marker, err := b.marker(ctx, storage, "config-"+name, id)
	if err != nil {
		return nil, err
	}
	intended, inPlace := *entry, fresh != nil
	proposed := rootCandidate{ConnectionID: rand.Text()}
	if inPlace {
		proposed = entry.Root.nextPending(fresh)
		intended.Root.put(proposed)
		err = b.compareAndSwapConfig(ctx, storage, name, entry, &intended)
	} else {
		err = b.putRootIntent(ctx, storage, name, marker)
	}
	if err != nil {
		return nil, err
	}
	failpoint("rotate.noted")
	var rotated *provider.RotatedRoot
	err = b.callVendor(conn, entry.Vendor, operationRotate, func() (err error) {
		rotated, err = rotator.RotateRoot(ctx, marker, proposed.Fields)
		return err
	})
	if err != nil {
		if class := provider.ClassOf(err); class.Definite() {
			if inPlace && class == provider.ClassInvalid {
				// Was it about the new one, or about the present one, which another may have replaced?
				if _, checkErr := verifyRoot(ctx, entry.Vendor, conn); checkErr != nil {
					conn.recordAuthFailure(checkErr)
					class = provider.ClassUnavailable
				}
			}
			b.abortRotation(ctx, storage, name, marker, &intended, class)
		}
		return nil, err
	}
	failpoint("rotate.rotated")

	// What was changed at the vendor has to be stored, whether or not somebody waits for it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	proposed.Fields = rotated.Fields
	next := intended.withRoot(proposed, b.clock.Now())
	if inPlace {
		next = intended.replacedInPlace(proposed, b.clock.Now())
	} else {
		next.RootMarker = marker
	}
	next.Root.Previous, next.Root.RecheckCredentials = rotated.Previous, rotated.InvalidatesCredentials
	if err := b.activateRoot(ctx, storage, name, &intended, next); err != nil {
		return nil, b.rollbackRotation(ctx, storage, name, marker, rotated, err)
	}
	failpoint("rotate.stored")
	if !inPlace {
		b.clearRootIntent(ctx, storage, name, marker)
	}
	if dead, err := b.recheckCredentials(ctx, storage, name, next); err == nil && dead > 0 {
		rotated.Warnings = append(rotated.Warnings, fmt.Sprintf(
			"the vendor has ended %d live credentials with the former root credential; who holds them has to read new ones", dead))
	}
	return rotated.Warnings, nil
}

// activateRoot proves that a config's next root credential works, stores it, and makes its connection the config's.
func (b *backend) activateRoot(ctx context.Context, storage logical.Storage, name string, present, next *configEntry) error {
	report := b.logoutWarning(name)
	fresh, err := b.openConnection(storage, name, next)
	if err != nil {
		return err
	}
	_, err = verifyRoot(ctx, next.Vendor, fresh)
	if err == nil {
		err = b.compareAndSwapConfig(ctx, storage, name, present, next)
	}
	if err != nil {
		logout(ctx, report)(fresh)
		return err
	}
	b.swapConnection(ctx, storage, name, present, next, fresh, report)
	return nil
}

// abortRotation is for a change that the vendor has refused.
func (b *backend) abortRotation(ctx context.Context, storage logical.Storage, name, marker string, intended *configEntry, class provider.Class) {
	if !intended.Root.inDoubt() {
		b.clearRootIntent(ctx, storage, name, marker)
		return
	}
	refused := *intended
	state := candidateRejected
	if class == provider.ClassInvalid {
		state = candidateInvalid
	}
	refused.Root.resolveInDoubt(state)
	if err := b.compareAndSwapConfig(context.WithoutCancel(ctx), storage, name, intended, &refused); err != nil {
		b.Logger().Warn("a refused rotation could not be struck out; the next request finds out which root credential is in force",
			"config", name, "error", err)
	}
}

// rollbackRotation ends a new root credential that could not be taken into use, or, where it has replaced the former, says
// that both are kept.
func (b *backend) rollbackRotation(ctx context.Context, storage logical.Storage, name, marker string, rotated *provider.RotatedRoot, cause error) error {
	if rotated.Undo == nil {
		return &provider.Error{
			Class: provider.ClassAmbiguous, Err: cause,
			Message: "the vendor has changed the root credential, and the new one could not be taken into use: " + cause.Error(),
			Remedy:  "both are kept, and the next request finds out which is in force",
		}
	}
	if errors.Is(cause, errIndeterminate) {
		return &provider.Error{
			Class: provider.ClassAmbiguous, Err: cause,
			Message: "the vendor has made a new root credential, and whether it is stored is not known: " + cause.Error(),
			Remedy:  "whichever is not stored is ended by the periodic run",
		}
	}
	if err := rotated.Undo(ctx); err != nil {
		b.Logger().Warn("a new root credential that is not in use could not be ended; that is tried again", "config", name, "marker", marker, "error", err)
	} else {
		b.clearRootIntent(ctx, storage, name, marker)
	}
	return fmt.Errorf("the new root credential could not be taken into use, and the present one stays: %w", cause)
}

// newPassword makes a password by one of Vault's password policies, or a strong one.
func (b *backend) newPassword(ctx context.Context, policy string) (string, error) {
	if policy == "" {
		random := make([]byte, passwordBytes)
		if _, err := io.ReadFull(b.random, random); err != nil {
			return "", fmt.Errorf("making a password: %w", err)
		}
		// The first characters are of the four kinds that rules commonly ask for, as in Vault's database engines.
		return "A1a-" + base64.RawURLEncoding.EncodeToString(random), nil
	}
	password, err := b.System().GeneratePasswordFromPolicy(ctx, policy)
	if err != nil {
		return "", provider.InvalidField("password_policy", "%q: %s", policy, err)
	}
	return password, nil
}

// errConflict refuses to overwrite what another request has stored in the meantime.
func errConflict(name string) error {
	return logical.CodedError(http.StatusConflict,
		fmt.Sprintf("config %q was changed by another request at the same time; read it and try again", name))
}
