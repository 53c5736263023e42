package server

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"time"

	"serin"
	"serin/internal/httpapi"
	"serin/internal/identity"
	"serin/internal/parameter"
	"serin/internal/repository"
	"serin/internal/store"
)

// supporting are the services that templates and deployment tools need beside functions.
type supporting struct {
	parameters   *parameter.Service
	identity     *identity.Service
	repositories *repository.Service
	apis         *httpapi.Service
}

func newSupporting(place serin.Place, st *store.Store, key rootKey, endpoint func(api string) string) (supporting, error) {
	sessions, err := derive(key, "sessions")
	if err != nil {
		return supporting{}, err
	}
	secure, err := derive(key, "secure parameters")
	if err != nil {
		return supporting{}, err
	}
	parameters, err := parameter.New(parameter.Config{Place: place, Store: st, Key: secure, Now: time.Now})
	if err != nil {
		return supporting{}, err
	}
	return supporting{
		parameters:   parameters,
		identity:     identity.New(identity.Config{Place: place, Store: st, Key: sessions, Now: time.Now}),
		apis:         httpapi.New(httpapi.Config{Place: place, Store: st, Endpoint: endpoint, Now: time.Now}),
		repositories: repository.New(repository.Config{Place: place, Store: st, Now: time.Now}),
	}, nil
}

// derive returns a key for a purpose, which says nothing about the root key that it comes from.
func derive(key rootKey, purpose string) ([]byte, error) {
	derived, err := hkdf.Key(sha256.New, []byte(key.SecretAccessKey), nil, "serin "+purpose, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive the key for %s: %w", purpose, err)
	}
	return derived, nil
}
