package control

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"serin"
	"serin/internal/bundle"
)

// maxPackage bounds a code package that comes from S3, in bytes: what AWS allows it to unpack to.
const maxPackage = 262144000

// codeSource is what a request says about where code is.
type codeSource struct {
	zip                         []byte
	bucket, key, version, image *string
}

// codePackage returns the package that a request brings or names.
func (c *Control) codePackage(ctx context.Context, from codeSource) ([]byte, error) {
	switch {
	case from.image != nil:
		return nil, notImplemented("Code.ImageUri")
	case from.bucket == nil && from.key == nil:
		if from.zip == nil {
			return nil, serin.Errorf(serin.KindInvalid, "Please provide a source for function code.")
		}
		return from.zip, nil
	case from.zip != nil:
		return nil, serin.Errorf(serin.KindInvalid, "Please do not provide other FunctionCode parameters when providing a ZipFile.")
	case deref(from.bucket) == "" || deref(from.key) == "":
		return nil, serin.Errorf(serin.KindInvalid, "Please provide a source for function code.")
	case c.ReadObject == nil:
		return nil, notImplemented("Code.S3Bucket")
	default:
		return c.ReadObject(ctx, *from.bucket, *from.key, deref(from.version), maxPackage)
	}
}

// checkCode checks a code package and says what it is.
func checkCode(zip []byte) (serin.Code, error) {
	info, err := bundle.Check(bytes.NewReader(zip), int64(len(zip)))
	if err != nil {
		return serin.Code{}, err
	}
	sum := sha256.Sum256(zip)
	return serin.Code{SHA256: base64.StdEncoding.EncodeToString(sum[:]), Size: int64(len(zip)), UnzippedSize: info.UnzippedSize}, nil
}

// storeCode stores a code package durably.
func (c *Control) storeCode(ctx context.Context, zip []byte) error {
	if _, err := c.Store.PutBlob(ctx, zip); err != nil {
		return fmt.Errorf("store code package: %w", err)
	}
	return nil
}
