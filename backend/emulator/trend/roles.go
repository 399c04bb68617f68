package trend

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// The IDs of the initial roles. The first two are the vendor's own, from recorded exchanges.
const (
	roleFullAccess    = 1
	roleAuditor       = 2
	roleKeyManagement = 3
	roleDeployment    = 4
)

// rights are a role's rights by module, group and name. A missing right is not granted.
type rights map[string]map[string]map[string]bool

// role is an administrator role in the form of the API.
type role struct {
	Name            string `json:"name"`
	Description     string `json:"description"`
	URN             string `json:"urn"`
	Immutable       bool   `json:"immutable"`
	EqualOrLesser   bool   `json:"canOnlyManipulateUsersWithEqualOrLesserRights"`
	AllComputers    bool   `json:"allComputers"`
	AllPolicies     bool   `json:"allPolicies"`
	AllowInterface  bool   `json:"allowUserInterface"`
	AllowWebService bool   `json:"allowWebService"`
	Rights          rights `json:"rights"`
	ID              int    `json:"ID"`
}

// right is a right of the module platformRights.
type right struct{ group, name string }

// The rights that the emulation enforces.
var (
	rightCreateKeys  = right{"apikeyRights", "canCreateNewApiKeys"}
	rightDeleteKeys  = right{"apikeyRights", "canDeleteApiKeys"}
	rightEditKeys    = right{"apikeyRights", "canEditApiKeyProperties"}
	rightViewKeys    = right{"apikeyRights", "canViewApiKeys"}
	rightCreateUsers = right{"administratorRights", "canCreateNewAdministrators"}
	rightCreateRoles = right{"administratorRoleRights", "canCreateNewAdministratorRoles"}
	rightDeleteRoles = right{"administratorRoleRights", "canDeleteAdministratorRoles"}
	rightEditRoles   = right{"administratorRoleRights", "canEditAdministratorRoleProperties"}
	rightViewRoles   = right{"administratorRoleRights", "canViewAdministratorRoles"}
)

// allRights are the rights above.
var allRights = []right{
	rightCreateKeys, rightDeleteKeys, rightEditKeys, rightViewKeys, rightCreateUsers,
	rightCreateRoles, rightDeleteRoles, rightEditRoles, rightViewRoles,
}

// grant returns all enforced rights, and grants the given ones.
func grant(granted ...right) rights {
	platform := map[string]map[string]bool{}
	for _, r := range allRights {
		if platform[r.group] == nil {
			platform[r.group] = map[string]bool{}
		}
		platform[r.group][r.name] = slices.Contains(granted, r)
	}
	return rights{"platformRights": platform}
}

// has reports whether a role grants a right.
func (r *role) has(wanted right) bool { return r.Rights["platformRights"][wanted.group][wanted.name] }

// covers reports whether a role grants every right of another role.
func (r *role) covers(other *role) bool {
	for module, groups := range other.Rights {
		for group, names := range groups {
			for name, granted := range names {
				if granted && !r.Rights[module][group][name] {
					return false
				}
			}
		}
	}
	return true
}

// defaultRoles returns the vendor's own roles, a role with the fewest rights that a management key needs, and a
// role without rights on keys, for leased keys.
func defaultRoles() []*role {
	roles := []*role{
		{ID: roleFullAccess, Name: "Full Access", Immutable: true, AllowInterface: true, Rights: grant(allRights...)},
		{ID: roleAuditor, Name: "Auditor", AllowInterface: true, Rights: grant()},
		{ID: roleKeyManagement, Name: "API Key Management", Rights: grant(
			rightCreateKeys, rightDeleteKeys, rightEditKeys, rightViewKeys, rightCreateUsers, rightViewRoles)},
		{ID: roleDeployment, Name: "Deployment", Rights: grant()},
	}
	for _, r := range roles {
		r.AllComputers, r.AllPolicies, r.AllowWebService = true, true, true
		r.URN = roleURN(r.Name)
	}
	return roles
}

// roleURN returns a role's name in the vendor's namespace.
func roleURN(name string) string {
	return fmt.Sprintf("urn:tmds:identity:us-east-ds-1:%d:role/%s", tenantID, name)
}

// roleByID returns the role with an ID, or nil.
func (svc *service) roleByID(id int) *role {
	for _, r := range svc.roles {
		if r.ID == id {
			return r
		}
	}
	return nil
}

// allowed reports whether the caller's role has a right. If not, it answers 403 with the message refusal.
func allowed(w http.ResponseWriter, c call, wanted right, refusal string) bool {
	if c.role.has(wanted) {
		return true
	}
	refuse(w, http.StatusForbidden, refusal)
	return false
}

const (
	cannotViewRoles = "Not authorized to view administrator roles"
	noSuchRole      = "The administrator role does not exist"
)

// listRoles answers GET /roles.
func (svc *service) listRoles(w http.ResponseWriter, c call) {
	if allowed(w, c, rightViewRoles, cannotViewRoles) {
		emulator.WriteJSON(w, http.StatusOK, map[string]any{"roles": svc.roles})
	}
}

// describeRole answers GET /roles/{id}.
func (svc *service) describeRole(w http.ResponseWriter, c call) {
	if !allowed(w, c, rightViewRoles, cannotViewRoles) {
		return
	}
	found := svc.roleByID(c.id)
	if found == nil {
		refuse(w, http.StatusNotFound, noSuchRole)
		return
	}
	emulator.WriteJSON(w, http.StatusOK, found)
}

// createRole answers POST /roles. Absent members are false.
func (svc *service) createRole(w http.ResponseWriter, c call) {
	if !allowed(w, c, rightCreateRoles, "Not authorized to create administrator roles") {
		return
	}
	made := &role{}
	if err := json.Unmarshal(c.body, made); err != nil || made.Name == "" {
		refuse(w, http.StatusBadRequest, "The administrator role is malformed or has no name")
		return
	}
	emulator.WriteJSON(w, http.StatusOK, svc.addRole(made))
}

// addRole gives a new role its ID and URN.
func (svc *service) addRole(made *role) *role {
	made.ID, made.Immutable, made.URN = svc.roles[len(svc.roles)-1].ID+1, false, roleURN(made.Name)
	svc.roles = append(svc.roles, made)
	return made
}

// modifyRole answers POST /roles/{id}. Absent members keep their values.
func (svc *service) modifyRole(w http.ResponseWriter, c call) {
	if !allowed(w, c, rightEditRoles, "Not authorized to edit administrator roles") {
		return
	}
	found := svc.roleByID(c.id)
	if found == nil {
		refuse(w, http.StatusNotFound, noSuchRole)
		return
	}
	changed := *found
	changed.Rights = nil
	if err := json.Unmarshal(c.body, &changed); err != nil || changed.Name == "" || found.Immutable {
		refuse(w, http.StatusBadRequest, "The administrator role is malformed or cannot be changed")
		return
	}
	if changed.Rights == nil {
		changed.Rights = found.Rights
	}
	changed.ID, changed.Immutable, changed.URN = found.ID, false, roleURN(changed.Name)
	*found = changed
	emulator.WriteJSON(w, http.StatusOK, found)
}

// deleteRole answers DELETE /roles/{id}.
func (svc *service) deleteRole(w http.ResponseWriter, c call) {
	if !allowed(w, c, rightDeleteRoles, "Not authorized to delete administrator roles") {
		return
	}
	found := svc.roleByID(c.id)
	inUse := slices.ContainsFunc(svc.keys, func(k *key) bool { return k.role == c.id })
	switch {
	case found == nil:
		refuse(w, http.StatusNotFound, noSuchRole)
	case found.Immutable || inUse:
		refuse(w, http.StatusBadRequest, "The administrator role is in use or cannot be deleted")
	default:
		svc.roles = slices.DeleteFunc(svc.roles, func(r *role) bool { return r == found })
		w.WriteHeader(svc.status(switchDeleteStatus))
	}
}
