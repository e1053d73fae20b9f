// The latest AMI of an environment, with the AWS SDK for JavaScript v3. Copy this file into your code.
//
// `latest` and `metadata` are two parameters, so for a moment of each publication they name different images.
// The record of the image in history/ is written before either; it is read where the two do not match.
import { GetParameterCommand, SSMClient } from "@aws-sdk/client-ssm";

/** Nothing is published under this name: the environment does not exist, or has no image yet. */
export class EnvironmentNotFoundError extends Error {
  name = "EnvironmentNotFoundError";
}

/** What a parameter holds is not the JSON object that the metadata schema says. */
export class InvalidMetadataError extends Error {
  name = "InvalidMetadataError";
}

/** AWS refused: a permission is missing, or the credentials are missing, expired or unknown. */
export class AccessDeniedError extends Error {
  name = "AccessDeniedError";
}

/** Parameter Store did not answer, or throttled all attempts. Try again later. */
export class ServiceUnavailableError extends Error {
  name = "ServiceUnavailableError";
}

const DENIED = new Set([
  "AccessDeniedException",
  "CredentialsProviderError",
  "ExpiredTokenException",
  "InvalidSignatureException",
  "UnrecognizedClientException",
]);
const HISTORY_ONLY = ["status", "status_reason", "status_since", "superseded_by"];

export class AmiClient {
  constructor({ region = "us-east-1", application = "comfyui", ssm } = {}) {
    this.region = region;
    this.application = application;
    this.ssm = ssm ?? new SSMClient({ region, maxAttempts: 5 });
  }

  /** Id of the environment's latest image. */
  async getLatestAmiId(environment = "prod") {
    const name = this.#name(environment, "latest");
    const value = await this.#read(name);
    if (value === undefined) {
      throw new EnvironmentNotFoundError(
        `No AMI found for environment: ${environment}. There is no parameter ${name} in ${this.region}; ` +
          "check the name and the Region, or push the environment's first image",
      );
    }
    return value;
  }

  /** Metadata of the environment's latest image. */
  async getLatestAmiMetadata(environment = "prod") {
    return (await this.getLatestAmi(environment)).metadata;
  }

  /** Id and metadata, which always belong together: `{ amiId, metadata }`. */
  async getLatestAmi(environment = "prod") {
    const amiId = await this.getLatestAmiId(environment);
    const metadata = await this.#readObject(this.#name(environment, "metadata"));
    if (metadata?.ami_id === amiId) {
      return { amiId, metadata };
    }
    const record = await this.#readObject(this.#name(environment, `history/${amiId}`));
    if (record === undefined) {
      throw new EnvironmentNotFoundError(`No AMI metadata found for environment: ${environment}, image ${amiId}`);
    }
    const fields = Object.entries(record).filter(([key]) => !HISTORY_ONLY.includes(key));
    return { amiId, metadata: Object.fromEntries(fields) };
  }

  #name(environment, leaf) {
    return `/${this.application}/ami/${environment}/${leaf}`;
  }

  async #readObject(name) {
    const value = await this.#read(name);
    if (value === undefined) {
      return undefined;
    }
    let parsed;
    try {
      parsed = JSON.parse(value);
    } catch (error) {
      throw new InvalidMetadataError(`${name} does not hold JSON: ${error.message}`, { cause: error });
    }
    if (parsed === null || typeof parsed !== "object" || Array.isArray(parsed)) {
      throw new InvalidMetadataError(`${name} holds JSON that is no object`);
    }
    return parsed;
  }

  async #read(name) {
    try {
      const answer = await this.ssm.send(new GetParameterCommand({ Name: name }));
      return answer.Parameter.Value;
    } catch (error) {
      if (error.name === "ParameterNotFound") {
        return undefined;
      }
      const what = `${name} in ${this.region} was not read: ${error.name}: ${error.message}`;
      if (DENIED.has(error.name)) {
        throw new AccessDeniedError(what, { cause: error });
      }
      if (error.$metadata?.httpStatusCode === undefined || error.$metadata.httpStatusCode >= 500 || error.$retryable) {
        throw new ServiceUnavailableError(what, { cause: error });
      }
      throw error;
    }
  }
}
