// Command watcher shows how a Go program keeps a working credential of a vendor. It renews the lease as long as that is
// possible, and reads another credential before the lease ends or when a renewal fails. It works for every vendor, with
// renewable leases or without.
//
//	VAULT_ADDR=… VAULT_TOKEN=… watcher -creds vendorauth/creds/ROLE -file credential.json
//
// The example writes the credential to a file. An application would pass it to its client of the vendor.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/vault/api"
)

const (
	// firstPause and lastPause bound the growing pause after a failure.
	firstPause = time.Second
	lastPause  = time.Minute

	// revokeTimeout bounds the revocation at the end of the program.
	revokeTimeout = 10 * time.Second
)

func main() {
	creds := flag.String("creds", "vendorauth/creds/dsm-auditor", "`path` to read credentials from")
	file := flag.String("file", "credential.json", "`file` to keep the credential in")
	flag.Parse()

	client, err := api.NewClient(api.DefaultConfig()) // reads VAULT_ADDR and VAULT_TOKEN from the environment
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	keep(ctx, client, *creds, func(credential map[string]any) error { return store(*file, credential) })
}

// keep calls use with a working credential, and with another one before that ends, until ctx is done.
func keep(ctx context.Context, client *api.Client, path string, use func(credential map[string]any) error) {
	pause := firstPause
	for ctx.Err() == nil {
		secret, err := client.Logical().ReadWithContext(ctx, path)
		if err == nil && secret == nil {
			err = errors.New("there is nothing at " + path)
		}
		if err == nil {
			err = use(secret.Data)
		}
		if err == nil {
			log.Printf("new credential for %d s, renewable: %t", secret.LeaseDuration, secret.Renewable)
			// A replaced lease is not revoked here: a request with its credential may still be running.
			var lived bool
			if lived, err = watch(ctx, client, secret); lived {
				pause = firstPause
			}
			if ctx.Err() != nil {
				revoke(client, secret.LeaseID)
			}
		}
		if err == nil {
			continue
		}
		// Without a pause, the program would flood a vendor that issues credentials and fails to renew them.
		log.Printf("trying again in %s: %s", pause, err)
		select {
		case <-time.After(pause):
			pause = min(2*pause, lastPause)
		case <-ctx.Done():
		}
	}
}

// watch renews a lease until the program needs another credential. lived reports whether the lease reached its end or was
// renewed at least once.
func watch(ctx context.Context, client *api.Client, secret *api.Secret) (lived bool, err error) {
	behavior := api.RenewBehaviorRenewDisabled // the watcher then only reports that the lease is about to end
	if secret.Renewable {
		// A renewal fails, among other reasons, when the credential has ended at the vendor. Waiting for the end of the lease
		// would not help.
		behavior = api.RenewBehaviorErrorOnErrors
	}
	watcher, err := client.NewLifetimeWatcher(&api.LifetimeWatcherInput{Secret: secret, RenewBehavior: behavior})
	if err != nil {
		return false, err
	}
	go watcher.Start()
	defer watcher.Stop()
	for {
		select {
		case <-ctx.Done():
			return true, nil
		case renewed := <-watcher.RenewCh():
			lived = true
			log.Printf("renewed for %d s", renewed.Secret.LeaseDuration)
		case err := <-watcher.DoneCh():
			return lived || err == nil, err
		}
	}
}

// revoke revokes the lease. When that fails, the credential ends with its lease.
func revoke(client *api.Client, lease string) {
	ctx, cancel := context.WithTimeout(context.Background(), revokeTimeout)
	defer cancel()
	if err := client.Sys().RevokeWithContext(ctx, lease); err != nil {
		log.Print("the lease was not revoked: ", err)
	}
}

// store replaces the file in one step: a reader sees the old credential or the new one.
func store(file string, credential map[string]any) error {
	text, err := json.MarshalIndent(credential, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the credential: %w", err)
	}
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
